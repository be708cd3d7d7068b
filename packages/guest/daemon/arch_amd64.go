package main

import "syscall"

const (
	sysRenameat2 = 316
	sysFstatat   = syscall.SYS_NEWFSTATAT
	sysMemfd     = 319
)

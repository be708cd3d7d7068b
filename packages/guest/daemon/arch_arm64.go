package main

import "syscall"

const (
	sysRenameat2 = 276
	sysFstatat   = syscall.SYS_FSTATAT
	sysMemfd     = 279
)

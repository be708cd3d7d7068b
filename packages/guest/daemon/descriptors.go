package main

import "syscall"

func closeAll(descriptors ...int) {
	for _, descriptor := range descriptors {
		if descriptor >= 0 {
			syscall.Close(descriptor)
		}
	}
}

func dupDescriptor(descriptor int) (int, error) {
	number, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(descriptor), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(number), nil
}

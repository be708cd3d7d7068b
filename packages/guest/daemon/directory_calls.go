package main

import (
	"strconv"
	"syscall"
	"unsafe"
)

// System calls relative to a directory that package syscall lacks.

const (
	renameNoreplace = 1
	atRemovedir     = 0x200
	sysFchmodat2    = 452
	seekData        = 3
)

func at(number uintptr, directory int, name string, rest ...uintptr) error {
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	var more [4]uintptr
	copy(more[:], rest)
	if _, _, errno := syscall.Syscall6(number, uintptr(directory), uintptr(unsafe.Pointer(pointer)), more[0], more[1], more[2], more[3]); errno != 0 {
		return errno
	}
	return nil
}

func mkdirat(directory int, name string, mode uint32) error {
	return at(syscall.SYS_MKDIRAT, directory, name, uintptr(mode))
}

func unlinkat(directory int, name string, flags int) error {
	return at(syscall.SYS_UNLINKAT, directory, name, uintptr(flags))
}

func symlinkat(target string, directory int, name string) error {
	says, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(says)), uintptr(directory), uintptr(unsafe.Pointer(pointer))); errno != 0 {
		return errno
	}
	return nil
}

func renameat2(fromDirectory int, from string, toDirectory int, to string, flags int) error {
	fromPointer, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	toPointer, err := syscall.BytePtrFromString(to)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall6(sysRenameat2, uintptr(fromDirectory), uintptr(unsafe.Pointer(fromPointer)), uintptr(toDirectory), uintptr(unsafe.Pointer(toPointer)), uintptr(flags), 0); errno != 0 {
		return errno
	}
	return nil
}

func fstatat(directory int, name string, stat *syscall.Stat_t) error {
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall6(sysFstatat, uintptr(directory), uintptr(unsafe.Pointer(pointer)), uintptr(unsafe.Pointer(stat)), atSymlinkNoFoll, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// chmodDescriptor changes the mode of what an O_PATH descriptor stands for, links never followed.
func chmodDescriptor(descriptor int, mode uint32) error {
	err := at(sysFchmodat2, descriptor, "", uintptr(mode), atEmptyPath)
	if err == syscall.ENOSYS || err == syscall.EPERM {
		// Kernels before 6.6, and filters that do not know the call.
		return syscall.Chmod("/proc/self/fd/"+strconv.Itoa(descriptor), mode)
	}
	return err
}

func openat(directory int, name string, flags int) (int, error) {
	for {
		descriptor, err := syscall.Openat(directory, name, flags|syscall.O_CLOEXEC, 0)
		if err != syscall.EINTR {
			return descriptor, err
		}
	}
}

func readlinkat(directory int, name string) (string, error) {
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return "", err
	}
	var buffer [4097]byte
	count, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(directory), uintptr(unsafe.Pointer(pointer)), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(buffer[:count]), nil
}

package main

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

const (
	prSetDumpable       = 4
	prCapbsetDrop       = 24
	prSetChildSubreaper = 36
	prSetNoNewPrivs     = 38
	lastCapability      = 63

	capKill   = 5
	capSetgid = 6
	capSetuid = 7
)

// makeThreads has the runtime make its threads now: at the limit of processes it could not, and would end.
func makeThreads(count int) {
	var made, release sync.WaitGroup
	release.Add(1)
	for range count {
		made.Add(1)
		go func() {
			runtime.LockOSThread()
			made.Done()
			release.Wait()
			runtime.UnlockOSThread()
		}()
	}
	made.Wait()
	release.Done()
}

// makeUndumpable keeps processes of the same user from reading or tracing the guest.
func makeUndumpable() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func setThreadGroups(groups []uint32) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0); errno != 0 {
		return errno
	}
	return nil
}

type capabilityHeader struct {
	version uint32
	pid     int32
}

type capabilityData struct{ effective, permitted, inheritable uint32 }

// dropRights leaves every thread, and all that come from them, with what the guest needs to act as the agent and to end it.
func dropRights() error {
	if _, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if os.Geteuid() != 0 {
		return nil
	}
	const keep = 1<<capKill | 1<<capSetgid | 1<<capSetuid
	header := capabilityHeader{version: 0x20080522}
	var data [2]capabilityData
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		return errno
	}
	const capSetpcap = 8
	if data[0].effective&(1<<capSetpcap) != 0 {
		for capability := range lastCapability + 1 {
			if capability < 32 && keep&(1<<capability) != 0 {
				continue
			}
			// Beyond the kernel's last one it says EINVAL, on every thread alike.
			_, _, _ = syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prCapbsetDrop, uintptr(capability), 0, 0, 0, 0)
		}
	}
	for i := range data {
		data[i].effective, data[i].permitted, data[i].inheritable = 0, 0, 0
	}
	have := currentPermitted(header)
	data[0].effective, data[0].permitted = have&keep, have&keep
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		return errno
	}
	return nil
}

func currentPermitted(header capabilityHeader) uint32 {
	var data [2]capabilityData
	syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	return data[0].permitted
}

// catchSignals catches all that can be caught; ignoring them instead would pass on to programs.
func catchSignals(terminate func()) {
	caught := make(chan os.Signal, 16)
	for number := syscall.Signal(1); number < 65; number++ {
		switch number {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, 32, 33, 34:
		default:
			signal.Notify(caught, number)
		}
	}
	go func() {
		for number := range caught {
			if number == syscall.SIGTERM {
				terminate()
			}
		}
	}()
}

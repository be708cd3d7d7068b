package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// agents ends every process of the agent, and of whom programs ran as, without needing a free process or thread.
type agents struct {
	isRoot   bool
	mu       sync.Mutex
	uids     map[uint32]bool
	requests chan chan struct{}
}

const (
	// A uid that nobody has: the thread's real one while it kills, so that it reaches nobody else's processes.
	nobodysUid  = 0x7ffffffd
	killRounds  = 500
	keepAsItIs  = ^uintptr(0)
	killEvery   = ^uintptr(0)
	betweenKill = time.Millisecond
)

// newAgents starts the thread that kills; it exists from the start and takes the agent's effective uid only while it does.
func newAgents(agent user, isRoot bool) *agents {
	a := &agents{isRoot: isRoot, uids: map[uint32]bool{agent.uid: true}, requests: make(chan chan struct{})}
	go func() {
		runtime.LockOSThread()
		for done := range a.requests {
			for _, uid := range a.list() {
				killUser(uid)
			}
			close(done)
		}
	}()
	return a
}

func (a *agents) remember(uid uint32) {
	a.mu.Lock()
	a.uids[uid] = true
	a.mu.Unlock()
}

func (a *agents) list() []uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]uint32, 0, len(a.uids))
	for uid := range a.uids {
		list = append(list, uid)
	}
	return list
}

// killUser ends all processes of a user. With the user's effective uid `kill(-1)` means exactly those; the real and saved uids
// stay out of the user's reach, so that it cannot kill this thread in turn.
func killUser(uid uint32) {
	real := uintptr(nobodysUid)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, real, uintptr(uid), 0); errno != 0 {
		// A user namespace that does not know that uid.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keepAsItIs, uintptr(uid), keepAsItIs); errno != 0 {
			return
		}
	}
	for range killRounds {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_KILL, killEvery, uintptr(syscall.SIGKILL), 0); errno == syscall.ESRCH {
			break
		}
		time.Sleep(betweenKill)
	}
	syscall.RawSyscall(syscall.SYS_SETRESUID, 0, 0, 0)
	makeUndumpable()
}

// killAll ends everything that runs for the agent. Where guest and agent are one user, the groups of its programs are all it can name.
func (d *daemon) killAll() {
	d.processes.mu.Lock()
	for pid := range d.processes.running {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
	d.processes.mu.Unlock()
	if !d.isRoot {
		return
	}
	done := make(chan struct{})
	d.agents.requests <- done
	<-done
}

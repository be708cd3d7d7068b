package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// user is whom programs run as and whose rights file operations have.
type user struct {
	uid, gid uint32
	name     string
	home     string
}

// lookUpUser finds a user by id or name in the image's own list; a number that is not listed is a user without a home.
func lookUpUser(text string, fallbackHome string) (user, error) {
	wanted, group, hasGroup := strings.Cut(text, ":")
	found := user{home: fallbackHome, name: wanted}
	uid, err := strconv.ParseUint(wanted, 10, 31)
	numeric := err == nil
	found.uid, found.gid = uint32(uid), uint32(uid)
	listed := false
	content, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(content)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 7 {
			continue
		}
		lineUid, uidErr := strconv.ParseUint(fields[2], 10, 31)
		lineGid, gidErr := strconv.ParseUint(fields[3], 10, 31)
		if uidErr != nil || gidErr != nil || (numeric && lineUid != uid) || (!numeric && fields[0] != wanted) {
			continue
		}
		found = user{uid: uint32(lineUid), gid: uint32(lineGid), name: fields[0], home: fields[5]}
		listed = true
		break
	}
	if !listed && !numeric {
		return user{}, refuse("invalid_argument", "", "no user %q in /etc/passwd", wanted)
	}
	if hasGroup {
		gid, err := strconv.ParseUint(group, 10, 31)
		if err != nil {
			return user{}, refuse("invalid_argument", "", "group %q is not a number", group)
		}
		found.gid = uint32(gid)
	}
	if found.home == "" {
		found.home = fallbackHome
	}
	return found, nil
}

// agentThreads are threads that have the agent's file-system identity and nothing else of it: a thread with the agent's
// real or effective uid could be killed by the agent, and with it the whole guest.
type agentThreads struct{ jobs chan func() }

const agentThreadCount = 8

func startAgentThreads(agent user, isRoot bool) (*agentThreads, error) {
	pool := &agentThreads{jobs: make(chan func())}
	ready := make(chan error)
	for range agentThreadCount {
		go func() {
			runtime.LockOSThread()
			err := error(nil)
			if isRoot {
				err = takeFileIdentity(agent)
			}
			ready <- err
			if err != nil {
				return
			}
			for job := range pool.jobs {
				job()
			}
		}()
	}
	for range agentThreadCount {
		if err := <-ready; err != nil {
			return nil, err
		}
	}
	// A change of file-system uid resets it.
	return pool, makeUndumpable()
}

// takeFileIdentity changes the calling thread only, by raw calls; the ones of package syscall change every thread.
func takeFileIdentity(agent user) error {
	groups := []uint32{agent.gid}
	if err := setThreadGroups(groups); err != nil {
		return err
	}
	// Both answer with the id before, so a second call tells whether the first was obeyed.
	syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(agent.gid), 0, 0)
	syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(agent.uid), 0, 0)
	gid, _, _ := syscall.RawSyscall(syscall.SYS_SETFSGID, ^uintptr(0), 0, 0)
	uid, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, ^uintptr(0), 0, 0)
	if uint32(gid) != agent.gid || uint32(uid) != agent.uid {
		return syscall.EPERM
	}
	return nil
}

// do runs a job with the agent's rights and waits for it; never more at once than there are threads.
func (p *agentThreads) do(job func()) {
	done := make(chan struct{})
	p.jobs <- func() {
		defer close(done)
		job()
	}
	<-done
}

// asAgent runs a job that answers something with the agent's rights.
func asAgent[T any](p *agentThreads, job func() (T, error)) (T, error) {
	var value T
	var err error
	p.do(func() { value, err = job() })
	return value, err
}

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// processes starts programs and collects them, and everything orphaned, when they end.
type processes struct {
	mu      sync.Mutex
	running map[int]*process
	// Programs inherit it, so that the kernel ends them before the guest when memory runs out.
	oomScore *os.File
}

// process is a program that leads its own group and session.
type process struct {
	pid    int
	owner  *processes
	status syscall.WaitStatus
	ended  chan struct{}
}

func newProcesses() *processes {
	p := &processes{running: map[int]*process{}}
	p.oomScore, _ = os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0)
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGCHLD)
	go func() {
		for range changes {
			p.collect()
		}
	}()
	return p
}

func (p *processes) collect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if known := p.running[pid]; known != nil {
			delete(p.running, pid)
			known.status = status
			close(known.ended)
		}
	}
}

// start runs a program as `as` with exactly the given descriptors; its parent directories and rights are as that user has them.
func (p *processes) start(program string, argv, environment []string, cwd string, as *syscall.Credential, descriptors []uintptr) (*process, error) {
	attributes := &syscall.ProcAttr{
		Dir: cwd, Env: environment, Files: descriptors,
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: as},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setOomScore("500")
	pid, err := syscall.ForkExec(program, argv, attributes)
	p.setOomScore("0")
	if err != nil {
		return nil, err
	}
	started := &process{pid: pid, owner: p, ended: make(chan struct{})}
	p.running[pid] = started
	return started, nil
}

func (p *processes) setOomScore(score string) {
	if p.oomScore != nil {
		p.oomScore.WriteAt([]byte(score), 0)
	}
}

// signal reaches the program's whole group; after its end there is nobody to reach, and its number may be another's.
func (p *process) signal(number syscall.Signal) {
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.owner.running[p.pid] == p {
		syscall.Kill(-p.pid, number)
	}
}

func (p *processes) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running)
}

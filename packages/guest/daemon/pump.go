package main

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const pumpBufferBytes = 64 << 10

var pumpBuffers = sync.Pool{New: func() any { return new([pumpBufferBytes]byte) }}

// pump reads one pipe for as long as anyone holds its other end, and gives what it reads to whoever wants it now.
type pump struct {
	file *os.File
	gone chan struct{} // nobody holds the other end, or the pump was closed

	mu       sync.Mutex
	sink     func([]byte)
	settling chan struct{} // to be closed when all that stood in the pipe was given
	before   func()        // called then, before the next sink is given anything
	next     func([]byte)  // the sink after that
}

func newPump(descriptor int, sink func([]byte)) *pump {
	syscall.SetNonblock(descriptor, true)
	p := &pump{file: os.NewFile(uintptr(descriptor), "pipe"), gone: make(chan struct{}), sink: sink}
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.gone)
	defer p.file.Close()
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	for {
		buffer := pumpBuffers.Get().(*[pumpBufferBytes]byte)
		count, readErr := 0, error(nil)
		waitErr := raw.Read(func(descriptor uintptr) bool {
			count, readErr = syscall.Read(int(descriptor), buffer[:])
			return readErr != syscall.EAGAIN
		})
		if count > 0 {
			p.give(buffer[:count])
		}
		pumpBuffers.Put(buffer)
		switch {
		case count > 0 || readErr == syscall.EINTR:
		case waitErr == nil: // end of file, or a broken pipe
			return
		case !os.IsTimeout(waitErr):
			return
		}
		p.settleIfAsked(raw)
	}
}

func (p *pump) give(content []byte) {
	p.mu.Lock()
	sink := p.sink
	p.mu.Unlock()
	if sink != nil {
		sink(content)
	}
}

// settleIfAsked gives what stands in the pipe at this moment; what is written meanwhile is no part of it.
func (p *pump) settleIfAsked(raw syscall.RawConn) {
	p.mu.Lock()
	settling := p.settling
	if settling == nil {
		p.mu.Unlock()
		return
	}
	p.file.SetReadDeadline(time.Time{})
	p.mu.Unlock()
	left := 0
	raw.Control(func(descriptor uintptr) { left = unread(int(descriptor)) })
	buffer := pumpBuffers.Get().(*[pumpBufferBytes]byte)
	for left > 0 {
		count := 0
		raw.Control(func(descriptor uintptr) {
			count, _ = syscall.Read(int(descriptor), buffer[:min(left, len(buffer))])
		})
		if count <= 0 {
			break
		}
		p.give(buffer[:count])
		left -= count
	}
	pumpBuffers.Put(buffer)
	p.mu.Lock()
	before := p.before
	p.sink, p.settling, p.before, p.next = p.next, nil, nil, nil
	p.mu.Unlock()
	if before != nil {
		before()
	}
	close(settling)
}

// settle returns when everything that was written before the call has been given to the sink; from then on `next` is the sink.
func (p *pump) settle(before func(), next func([]byte)) <-chan struct{} {
	done := make(chan struct{})
	p.mu.Lock()
	p.settling, p.before, p.next = done, before, next
	p.file.SetReadDeadline(time.Unix(1, 0))
	p.mu.Unlock()
	finished := make(chan struct{})
	go func() {
		select {
		case <-done:
		case <-p.gone:
		}
		close(finished)
	}()
	return finished
}

// close lets go of the pipe; whoever still writes to it gets a broken pipe.
func (p *pump) close() { p.file.Close() }

// unread is how many bytes stand in a pipe.
func unread(descriptor int) int {
	var count int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(descriptor), syscall.TIOCINQ, uintptr(unsafe.Pointer(&count))); errno != 0 {
		return 0
	}
	return int(count)
}

// survivors are pipes whose program has ended while others still write to them; beyond a bound the oldest lose their reader.
type survivors struct {
	mu    sync.Mutex
	pumps []*pump
}

const maxSurvivors = 256

func (s *survivors) add(p *pump) {
	select {
	case <-p.gone:
		return
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.pumps[:0]
	for _, one := range s.pumps {
		select {
		case <-one.gone:
		default:
			kept = append(kept, one)
		}
	}
	s.pumps = append(kept, p)
	if len(s.pumps) > maxSurvivors {
		s.pumps[0].close()
		s.pumps = s.pumps[1:]
	}
}

// newPipe makes a pipe whose ends no program inherits by itself.
func newPipe() (reader, writer int, err error) {
	var ends [2]int
	err = syscall.Pipe2(ends[:], syscall.O_CLOEXEC)
	return ends[0], ends[1], err
}

// newAgentPipe makes a pipe that belongs to the agent, so that its programs can open /dev/stdout and the like.
func (d *daemon) newAgentPipe() (reader, writer int, err error) {
	d.threads.do(func() { reader, writer, err = newPipe() })
	return reader, writer, err
}

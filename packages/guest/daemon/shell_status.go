package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// How often a shell that says nothing is looked at; see `outOfStep`.
const firstLook, longestLook = 20 * time.Millisecond, time.Second

// verdict is how a command ended for the shell that ran it.
type verdict struct {
	code     int
	kept     bool
	timedOut bool
}

// awaitVerdict waits for the command's status, the shell's end, or the end of patience.
func (s *shell) awaitVerdict(patience context.Context, timeout time.Duration) verdict {
	if timeout > 0 {
		limited, stop := context.WithTimeout(patience, timeout)
		defer stop()
		code, ok := s.awaitStatus(limited)
		return verdict{code: code, kept: ok, timedOut: !ok && patience.Err() == nil && limited.Err() != nil && !s.dead()}
	}
	code, ok := s.awaitStatus(patience)
	return verdict{code: code, kept: ok}
}

func (s *shell) awaitStatus(patience context.Context) (code int, ok bool) {
	wake := func() { s.status.SetReadDeadline(time.Unix(1, 0)) }
	answered := make(chan struct{})
	defer close(answered)
	go func() {
		select {
		case <-s.process.ended:
		case <-patience.Done():
		case <-answered:
			return
		}
		wake()
	}()
	look, over := firstLook, false
	var buffer [512]byte
	for {
		if code, number, understood, broken := readStatus(&s.heard); broken {
			return 0, false
		} else if understood {
			return code, number == s.number
		}
		if over {
			return 0, false
		}
		s.status.SetReadDeadline(time.Now().Add(look))
		if s.dead() {
			wake()
		}
		if patience.Err() != nil {
			return 0, false
		}
		count, err := s.status.Read(buffer[:])
		s.heard = append(s.heard, buffer[:count]...)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Others may hold the status of a shell that has ended: it has no end of file then.
			if over = s.dead() || s.outOfStep(); over {
				s.overhear()
			}
			look = min(2*look, longestLook)
		default:
			// The shell let go of its status: it has ended, or became another program.
			select {
			case <-s.process.ended:
			case <-patience.Done():
			}
			return 0, false
		}
	}
}

// outOfStep tells a shell that waits for more: what it had to say it has said before, so a status not there never comes. One
// that reads ahead is known by an empty line, given once it took the command: it takes that when it has nothing else to do.
func (s *shell) outOfStep() bool {
	if !s.tookAll() {
		return false
	}
	if s.dialect.readsAhead && !s.prodded {
		s.prodded = true
		s.script.WriteString("\n")
		return false
	}
	return true
}

// overhear takes what stands in the status now.
func (s *shell) overhear() {
	raw, err := s.status.SyscallConn()
	if err != nil {
		return
	}
	var buffer [512]byte
	raw.Control(func(descriptor uintptr) {
		count, _ := syscall.Read(int(descriptor), buffer[:])
		s.heard = append(s.heard, buffer[:max(0, count)]...)
	})
}

// inStep makes sure, before a command, that nothing of the one before is still to come: a status too many was forged.
func (s *shell) inStep() bool {
	if s.dead() || !s.finished() {
		return false
	}
	s.overhear()
	heard := s.heard
	s.heard = nil
	if !s.dialect.saysWell {
		return len(heard) == 0
	}
	s.masked = s.number > 0 && !bytes.HasSuffix(heard, []byte(bashWell))
	return !bytes.Contains(heard, []byte(statusMark))
}

// finished waits a moment for the shell to take the end of the last command's text; one that does not is still at work.
func (s *shell) finished() bool {
	for range 100 {
		if s.tookAll() {
			return true
		}
		time.Sleep(time.Millisecond / 2)
	}
	return false
}

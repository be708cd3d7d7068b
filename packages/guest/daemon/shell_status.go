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
	stop := context.AfterFunc(patience, func() { s.status.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	look := firstLook
	var buffer [512]byte
	for {
		s.status.SetReadDeadline(time.Now().Add(look))
		if patience.Err() != nil {
			return 0, false
		}
		count, err := s.status.Read(buffer[:])
		s.heard = append(s.heard, buffer[:count]...)
		if code, number, understood, broken := s.dialect.readStatus(&s.heard); broken {
			return 0, false
		} else if understood {
			return code, number == s.number
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.outOfStep() {
				return 0, false
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

// outOfStep tells a shell that has taken all it was told and given no status: it never will.
func (s *shell) outOfStep() bool {
	if s.dead() || s.unreadScript() > 0 {
		return false
	}
	var buffer [512]byte
	s.status.SetReadDeadline(time.Now().Add(firstLook))
	count, _ := s.status.Read(buffer[:])
	s.heard = append(s.heard, buffer[:count]...)
	return count == 0
}

// inStep makes sure, before a command, that nothing of the one before is still to come: a status too many was forged.
func (s *shell) inStep() bool {
	var buffer [512]byte
	s.status.SetReadDeadline(time.Unix(1, 0))
	raw, err := s.status.SyscallConn()
	if err != nil || s.dead() || !s.finished() {
		return false
	}
	count := 0
	raw.Control(func(descriptor uintptr) { count, _ = syscall.Read(int(descriptor), buffer[:]) })
	s.heard = append(s.heard, buffer[:max(0, count)]...)
	heard := s.heard
	s.heard = nil
	if !s.dialect.saysWell {
		return len(heard) == 0
	}
	s.masked = s.number > 0 && !bytes.HasSuffix(heard, []byte(bashWell))
	return !bytes.Contains(heard, []byte(bashStatusMark))
}

// finished waits a moment for the shell to take the end of the last command's text; one that does not is still at work.
func (s *shell) finished() bool {
	for range 100 {
		if s.unreadScript() == 0 {
			return true
		}
		time.Sleep(time.Millisecond / 2)
	}
	return false
}

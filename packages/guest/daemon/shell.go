package main

import (
	"io"
	"os"
	"strings"
	"syscall"
)

const (
	// What background jobs write between two commands.
	maxBetweenBytes = 64 << 10
	// A command above this does not go through the pipe, which shells read byte by byte.
	maxPipedBytes = 1 << 10
)

// shell is one running shell. Its commands come on its stdin, as a terminal's would, each with stdin from /dev/null and without
// the descriptors that only the shell itself has: status out, and where its dialect knows how, a file for long commands.
type shell struct {
	dialect dialect
	process *process
	script  *os.File // write end of its stdin
	status  *os.File
	memory  *os.File
	output  *pump
	between *collector    // output while no command runs; kept from the last end on
	heard   []byte        // of the status, not understood yet
	number  int           // of the command, which its status has to carry
	masked  bool          // something of the agent's stands before the shell's own `builtin`
	given   chan struct{} // closed when the last command's text is in the pipe
	prodded bool          // an empty line followed it
}

// put gives the shell a command, in its own time: the shell may read slowly, or never.
func (s *shell) put(command string) {
	text := s.dialect.piped(command, s.number)
	if len(command) > maxPipedBytes && s.dialect.stored != nil && s.store(command) == nil {
		text = s.dialect.stored(strings.Count(command, "\n"), s.number)
	}
	if s.masked {
		text = bashUnmask + text
	}
	given := make(chan struct{})
	s.given, s.prodded = given, false
	go func() {
		defer close(given)
		s.script.WriteString(text)
	}()
}

// store leaves the command in the memory file, whose offset the shell shares.
func (s *shell) store(command string) error {
	if err := s.memory.Truncate(0); err != nil {
		return err
	}
	if _, err := s.memory.WriteAt(append([]byte(command), 0), 0); err != nil {
		return err
	}
	_, err := s.memory.Seek(0, io.SeekStart)
	return err
}

// tookAll tells whether the shell has read all that it was given.
func (s *shell) tookAll() bool {
	select {
	case <-s.given:
	default:
		return false
	}
	count := 0
	if raw, err := s.script.SyscallConn(); err == nil {
		raw.Control(func(descriptor uintptr) { count = unread(int(descriptor)) })
	}
	return count == 0
}

// handOver gives what came since the last command, and all that comes now, to a command.
func (s *shell) handOver(sink func([]byte)) {
	between := s.between
	<-s.output.settle(func() { sink(between.bytes()) }, sink)
}

// settle ends a command's hold on the output: what it wrote is given to it, what comes then is kept for the next.
func (s *shell) settle(kept bool) <-chan struct{} {
	s.between = &collector{max: maxBetweenBytes, tail: true}
	if !kept {
		return s.output.settle(nil, nil)
	}
	return s.output.settle(nil, s.between.add)
}

func (s *shell) dead() bool {
	select {
	case <-s.process.ended:
		return true
	default:
		return false
	}
}

func (s *shell) close() {
	s.process.signal(syscall.SIGKILL)
	<-s.process.ended
	s.script.Close()
	s.status.Close()
	s.memory.Close()
	s.output.settle(nil, nil)
}

package main

import (
	"os"
	"syscall"
)

type programPipes struct {
	theirs        [3]uintptr
	in, out, errs int // -1: none
}

// openProgramPipes makes what the program reads from and writes to. On a thread of the agent's, so that they are the agent's.
func openProgramPipes(r execRequest, devNull *os.File) (*programPipes, error) {
	io := &programPipes{in: -1, out: -1, errs: -1}
	null := devNull.Fd()
	io.theirs = [3]uintptr{null, null, null}
	open := func(theirEnd int, reading bool) (int, error) {
		reader, writer, err := newPipe()
		if err != nil {
			return -1, err
		}
		if reading {
			io.theirs[theirEnd] = uintptr(reader)
			return writer, nil
		}
		io.theirs[theirEnd] = uintptr(writer)
		return reader, nil
	}
	var err error
	if r.pipedStdin {
		io.in, err = open(0, true)
	}
	if err == nil {
		io.out, err = open(1, false)
	}
	if err == nil && r.merged {
		io.theirs[2] = io.theirs[1]
	} else if err == nil {
		io.errs, err = open(2, false)
	}
	if err != nil {
		io.closeTheirs(devNull)
		io.closeOurs()
		return nil, err
	}
	return io, nil
}

func (io *programPipes) closeTheirs(null *os.File) {
	for at, descriptor := range io.theirs {
		if descriptor != null.Fd() && (at < 2 || descriptor != io.theirs[1]) {
			syscall.Close(int(descriptor))
		}
	}
}

func (io *programPipes) closeOurs() {
	for _, descriptor := range []int{io.in, io.out, io.errs} {
		if descriptor >= 0 {
			syscall.Close(descriptor)
		}
	}
}

func (io *programPipes) sinks(s *stream, r execRequest) (output, output) {
	if r.merged {
		return newOutput(s, channelOutput, r.output), output{}
	}
	return newOutput(s, channelOutput, r.output), newOutput(s, channelErrors, r.output)
}

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// startShell starts the best shell that the image has.
func (d *daemon) startShell(cwd string, env map[string]string) (*shell, error) {
	environment := d.environment(d.agent, env)
	for _, candidate := range dialects {
		started, err := d.startDialect(candidate, cwd, environment)
		if err == nil {
			return started, nil
		}
		var f *failure
		if !errors.As(err, &f) || f.Reason != "ENOENT" || !strings.HasPrefix(f.Message, candidate.program+":") {
			return nil, err
		}
	}
	return nil, refuse("failed_precondition", "ENOENT", "the image has neither /bin/bash nor /bin/sh")
}

func (d *daemon) startDialect(as dialect, cwd string, environment []string) (*shell, error) {
	var opened []int
	fail := func(err error) (*shell, error) {
		closeAll(opened...)
		return nil, posixFailure(err, as.program, "none")
	}
	pipeEnds := func() (int, int, error) {
		reader, writer, err := newPipe()
		if err == nil {
			opened = append(opened, reader, writer)
		}
		return reader, writer, err
	}
	scriptReader, scriptWriter, err := pipeEnds()
	if err != nil {
		return fail(err)
	}
	outputReader, outputWriter, err := d.newAgentPipe()
	if err != nil {
		return fail(err)
	}
	opened = append(opened, outputReader, outputWriter)
	statusReader, statusWriter, err := pipeEnds()
	if err != nil {
		return fail(err)
	}
	descriptors := make([]uintptr, max(as.statusDescriptor, as.memoryDescriptor)+1)
	for i := range descriptors {
		descriptors[i] = ^uintptr(0)
	}
	descriptors[0], descriptors[1], descriptors[2] = uintptr(scriptReader), uintptr(outputWriter), uintptr(outputWriter)
	descriptors[as.statusDescriptor] = uintptr(statusWriter)
	var memory *os.File
	if as.stored != nil {
		descriptor, err := newMemory()
		if err != nil {
			return fail(err)
		}
		memory = os.NewFile(uintptr(descriptor), "command")
		descriptors[as.memoryDescriptor] = uintptr(descriptor)
	}
	started, err := d.processes.start(as.program, as.argv, environment, cwd, d.credential(d.agent), descriptors)
	if err != nil {
		closeAll(opened...)
		memory.Close()
		return nil, d.startFailure(err, as.program, cwd)
	}
	closeAll(scriptReader, outputWriter, statusWriter)
	s := &shell{dialect: as, process: started, memory: memory, between: &collector{max: maxBetweenBytes, tail: true}}
	syscall.SetNonblock(scriptWriter, true)
	syscall.SetNonblock(statusReader, true)
	s.script, s.status = os.NewFile(uintptr(scriptWriter), "script"), os.NewFile(uintptr(statusReader), "status")
	s.output = newPump(outputReader, s.between.add)
	return s, nil
}

func newMemory() (int, error) {
	name := []byte("command\x00")
	const closeOnExec = 1
	descriptor, _, errno := syscall.Syscall(sysMemfd, uintptr(unsafe.Pointer(&name[0])), closeOnExec, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(descriptor), nil
}

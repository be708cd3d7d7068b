package main

import "syscall"

func exitFields(status syscall.WaitStatus, timedOut bool) map[string]any {
	fields := map[string]any{"code": nil, "signal": nil, "timedOut": timedOut, "replayed": false}
	if status.Signaled() {
		fields["signal"] = signalName(status.Signal())
	} else {
		fields["code"] = status.ExitStatus()
	}
	return fields
}

// tellExit sends the end of a program ahead of its output, once.
func (s *stream) tellExit(exit map[string]any) {
	s.mu.Lock()
	told := s.exitTold
	s.exitTold = true
	s.mu.Unlock()
	if told {
		return
	}
	event := map[string]any{"event": "exited"}
	for name, value := range exit {
		event[name] = value
	}
	s.event(event)
}

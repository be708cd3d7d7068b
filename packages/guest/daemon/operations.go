package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
)

var errCancelled = errors.New("cancelled")

// outcome is how an operation ended well: the members of RESULT, and output that was collected and is sent before it.
type outcome struct {
	fields map[string]any
	output [channelCount][]byte
	ends   []byte // the channels that END
}

func ended(channel byte, content []byte, fields map[string]any) *outcome {
	o := &outcome{fields: fields, ends: []byte{channel}}
	o.output[channel] = content
	return o
}

// operation runs one OPEN to its end.
type operation func(d *daemon, s *stream, m *members, key *claim) (*outcome, error)

var operations = map[string]operation{
	"exec":           opExec,
	"shell.run":      opShellRun,
	"shell.restart":  opShellRestart,
	"file.stat":      opStat,
	"file.read":      opRead,
	"file.write":     opWrite,
	"file.list":      opList,
	"file.mkdir":     opMkdir,
	"file.remove":    opRemove,
	"file.rename":    opRename,
	"file.symlink":   opSymlink,
	"file.chmod":     opChmod,
	"text.readLines": opReadLines,
	"text.edit":      opEdit,
	"text.glob":      opGlob,
	"text.grep":      opGrep,
	"call.status":    opCallStatus,
	"call.release":   opCallRelease,
	"stats":          opStats,
}

// run answers one OPEN with RESULT or ERROR, whatever happens on the way.
func (d *daemon) run(s *stream, m *members) {
	defer func() {
		if trouble := recover(); trouble != nil {
			debug.PrintStack()
			s.fail(&failure{Code: "internal", Message: fmt.Sprint(trouble), Effect: "unknown"})
		}
	}()
	name := m.text("op")
	operate, known := operations[name]
	if m.err() == nil && !known {
		s.fail(refuse("unsupported", "", "no operation %q", name))
		return
	}
	if err := m.err(); err != nil {
		s.fail(invalid(err))
		return
	}
	key, err := d.calls.key(s, m)
	if err == nil {
		var result *outcome
		if result, err = operate(d, s, m, key); err == nil {
			s.succeed(result)
			return
		}
	}
	s.fail(streamFailure(err))
}

// streamFailure names what stopped a stream.
func streamFailure(err error) *failure {
	if errors.Is(err, errCancelled) || errors.Is(err, errConnectionLost) {
		return refuse("aborted", "cancelled", "cancelled")
	}
	return asFailure(err, "operation", "unknown")
}

// succeed sends collected output and the result. What nobody takes because of a CANCEL is dropped.
func (s *stream) succeed(result *outcome) {
	for _, channel := range result.ends {
		if s.send(channel, result.output[channel]) != nil && s.connection.context.Err() != nil {
			return
		}
		s.sendEnd(channel)
	}
	payload, err := json.Marshal(result.fields)
	if err != nil {
		s.fail(&failure{Code: "internal", Message: err.Error(), Effect: "unknown"})
		return
	}
	s.finish(frameResult, payload)
}

func (s *stream) fail(f *failure) {
	payload, _ := json.Marshal(f)
	s.finish(frameError, payload)
}

func (s *stream) finish(kind byte, payload []byte) {
	c := s.connection
	c.mu.Lock()
	delete(c.streams, s.id)
	c.mu.Unlock()
	s.cancel(nil)
	c.send(false, kind, s.id, payload)
}

// handleControl passes a request on to what runs; a stream on which nothing runs any more has nothing to do.
func (s *stream) handleControl(payload []byte) error {
	m, err := parseMembers(payload)
	if err != nil {
		return violation("CONTROL: " + err.Error())
	}
	s.mu.Lock()
	control := s.control
	s.mu.Unlock()
	if control != nil {
		control(m)
	}
	return nil
}

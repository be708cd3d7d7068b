package main

import (
	"bytes"
	"syscall"
	"time"
)

const maxCommandBytes = 32 << 20

type shellRequest struct {
	name    string
	command string
	cwd     string
	env     map[string]string
	output  outputLimit
	timeout time.Duration
}

func opShellRun(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	r := shellRequest{name: m.text("shell"), cwd: m.path("cwd"), env: m.environment("env"), output: readOutputLimit(m), timeout: readTimeout(m)}
	size := int(m.integer("commandBytes", 0, maxCommandBytes))
	if m.err() == nil && !validName(r.name) {
		m.refuse("shell", "1 to 128 characters of A-Z a-z 0-9 _ -")
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	if key != nil && !r.output.present {
		return nil, refuse("invalid_argument", "", "a command with a key needs an output limit")
	}
	text, err := s.readExactly(size)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, refuse("invalid_argument", "", "a command cannot hold NUL")
	}
	r.command = string(text)
	return key.once(d, s, text, func(run *callRun) (*outcome, error) { return d.shellRun(run, s, r) })
}

func (d *daemon) shellRun(run *callRun, s *stream, r shellRequest) (*outcome, error) {
	slot, err := d.shells.slot(r.name)
	if err != nil {
		return nil, err
	}
	if err := slot.take(run.context); err != nil {
		return nil, err
	}
	defer slot.release()
	if err := run.commit(); err != nil {
		return nil, err
	}
	if slot.shell != nil && !slot.shell.inStep() {
		slot.shell.close()
		slot.shell = nil
	}
	if slot.shell == nil {
		if slot.shell, err = d.startShell(r.cwd, r.env); err != nil {
			return nil, err
		}
	}
	sh := slot.shell
	sh.number++
	out := newOutput(s, channelOutput, r.output)
	sh.handOver(out.sink)
	run.event(map[string]any{"event": "started", "pid": sh.process.pid})
	s.setControl(func(m *members) { s.signalControl(m, sh.process) })

	sh.put(r.command)
	end := sh.awaitVerdict(run.context, r.timeout)
	if !end.kept {
		end.kept = false
		sh.process.signal(syscall.SIGKILL)
		<-sh.process.ended
		slot.shell = nil
	}
	fields := exitFields(sh.process.status, end.timedOut)
	if end.kept {
		fields = map[string]any{"code": end.code, "signal": nil, "timedOut": false, "replayed": false}
	}
	fields["shellKept"] = end.kept
	fields["droppedBytes"] = map[string]any{"stdout": 0, "stderr": 0}
	awaitOutput(run, s, sh.settle(end.kept), fields, !r.output.present)
	if !end.kept {
		sh.close()
		d.survivors.add(sh.output)
	}
	fields["droppedBytes"] = map[string]any{"stdout": out.dropped(), "stderr": 0}
	result := &outcome{fields: fields, ends: []byte{channelOutput, channelErrors}}
	result.output[channelOutput] = out.bytes()
	return result, nil
}

func opShellRestart(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	name := m.text("shell")
	if m.err() == nil && !validName(name) {
		m.refuse("shell", "1 to 128 characters of A-Z a-z 0-9 _ -")
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return key.once(d, s, nil, func(run *callRun) (*outcome, error) {
		slot, err := d.shells.slot(name)
		if err != nil {
			return nil, err
		}
		if err := slot.take(run.context); err != nil {
			return nil, err
		}
		defer slot.release()
		if err := run.commit(); err != nil {
			return nil, err
		}
		if slot.shell != nil {
			slot.shell.close()
			d.survivors.add(slot.shell.output)
			slot.shell = nil
		}
		return &outcome{fields: map[string]any{}}, nil
	})
}

package main

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"time"
)

const (
	protocolVersion = 1
	daemonVersion   = "0.1.0"
	helloTimeout    = 10 * time.Second
)

var features = []string{"exec", "shell", "files", "text", "calls"}

// serve speaks with one peer until either side ends it.
func (d *daemon) serve(transport io.ReadWriteCloser) {
	c := newConnection(transport)
	defer c.close()
	reader := newFrameReader(transport)
	impatience := time.AfterFunc(helloTimeout, c.close)
	err := d.greet(c, reader)
	impatience.Stop()
	if err == nil {
		d.connected(c)
		defer d.disconnected(c)
		err = d.dispatch(c, reader)
	}
	var broken violation
	if errors.As(err, &broken) {
		c.goaway("violation", string(broken))
		<-c.context.Done()
	}
	var turned turnedAway
	if errors.As(err, &turned) {
		c.goaway(string(turned), "")
		<-c.context.Done()
	}
}

// turnedAway is the reason of a hello that was refused.
type turnedAway string

func (t turnedAway) Error() string { return string(t) }

// greet reads the peer's hello and answers it.
func (d *daemon) greet(c *connection, reader *frameReader) error {
	first, err := reader.next()
	if err != nil {
		return err
	}
	if first.kind != frameHello {
		return violation("the first frame is not HELLO")
	}
	m, err := parseMembers(first.payload)
	if err != nil {
		return violation("HELLO: " + err.Error())
	}
	version := m.integer("protocol", 0, 1<<31)
	mode := m.text("mode")
	generation := m.integerOr("generation", 0, 1<<53, 0)
	secret := m.textOr("secret", "")
	if mode == "resume" && !m.has("generation") {
		m.refuse("generation", "the generation to resume")
	}
	if mode != "takeover" && mode != "join" && mode != "resume" {
		m.refuse("mode", "takeover, join or resume")
	}
	if m.has("protocol") && version != protocolVersion {
		return turnedAway("protocol")
	}
	if err := m.err(); err != nil {
		return violation("HELLO: " + err.Error())
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(d.config.secret)) != 1 && d.config.secret != "" {
		return turnedAway("secret")
	}
	current, fenced, err := d.calls.enter(c, mode, generation)
	if err != nil {
		return err
	}
	answer, _ := json.Marshal(map[string]any{
		"protocol": protocolVersion, "boot": d.boot, "generation": current, "fenced": fenced,
		"arch": runtime.GOARCH, "version": daemonVersion, "features": features,
		"user": map[string]any{"uid": d.agent.uid, "gid": d.agent.gid, "home": d.agent.home},
	})
	c.sendUrgent(frameHello, answer) // ahead of any PONG
	return nil
}

// dispatch hands every frame to whom it concerns. It never waits for anything but the peer.
func (d *daemon) dispatch(c *connection, reader *frameReader) error {
	for {
		f, err := reader.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case framePing:
			c.sendUrgent(framePong, f.payload)
		case framePong:
		case frameOpen:
			if err := d.open(c, f); err != nil {
				return err
			}
		case frameData, frameEnd, frameWindow, frameControl, frameCancel:
			if err := c.route(f); err != nil {
				return err
			}
		default:
			return violation("a frame that only the guest sends")
		}
	}
}

func (d *daemon) open(c *connection, f frame) error {
	if f.stream%2 == 0 || f.stream <= c.lastStream {
		return violation("OPEN with a stream id that is even or not above the last")
	}
	c.lastStream = f.stream
	m, err := parseMembers(f.payload)
	s := newStream(c, f.stream)
	if err != nil {
		s.fail(invalid(err))
		return nil
	}
	c.mu.Lock()
	full := len(c.streams) >= maxStreams
	if !full {
		c.streams[f.stream] = s
	}
	c.mu.Unlock()
	if full {
		s.fail(refuse("resource_exhausted", "", "more than %d streams are open", maxStreams))
		return nil
	}
	go d.run(s, m)
	return nil
}

// route gives a frame to its stream; what comes after the stream's end is left unread.
func (c *connection) route(f frame) error {
	if f.stream%2 == 0 || f.stream > c.lastStream {
		return violation("a frame on a stream that was never opened")
	}
	c.mu.Lock()
	s := c.streams[f.stream]
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	switch f.kind {
	case frameData:
		if f.payload[0] != channelInput {
			return violation("DATA on a channel of the guest")
		}
		return s.input.deliver(f.payload[1:])
	case frameEnd:
		if f.payload[0] != channelInput {
			return violation("END on a channel of the guest")
		}
		return s.input.finish()
	case frameWindow:
		return s.grant(f.payload[0], binary.BigEndian.Uint32(f.payload[1:]))
	case frameCancel:
		s.cancel(errCancelled)
	case frameControl:
		return s.handleControl(f.payload)
	}
	return nil
}

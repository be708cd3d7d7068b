package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	maxStreams = 1024
	// Output that waits for the transport; who sends DATA waits beyond it, so a slow reader costs this much and no more.
	maxQueuedBytes = 256 << 10
	// Answers that wait for the transport; a peer that asks on and on and never reads is let go.
	maxUnreadBytes = 8 << 20
	// How long a frame may wait for others to share its write.
	coalesceFor = time.Millisecond
	// Buffers above this are not kept between bursts.
	keptBufferBytes = 16 << 10
)

var errConnectionLost = errors.New("connection lost")

// connection is one peer after its hello.
type connection struct {
	transport io.ReadWriteCloser
	context   context.Context
	end       context.CancelFunc

	mu         sync.Mutex
	writable   *sync.Cond // something to write, or over
	drained    *sync.Cond // room for more DATA, or over
	urgent     []byte
	queued     []byte
	flush      bool
	timer      *time.Timer
	over       bool
	closeAfter bool // what is queued is still written

	streams    map[uint32]*stream
	lastStream uint32

	// The peer's standing, see calls.go.
	generation int64
	keyed      bool
}

func newConnection(transport io.ReadWriteCloser) *connection {
	c := &connection{transport: transport, streams: map[uint32]*stream{}}
	c.writable, c.drained = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	c.context, c.end = context.WithCancel(context.Background())
	c.timer = time.AfterFunc(time.Hour, c.flushNow)
	c.timer.Stop()
	go c.write()
	return c
}

// write is the only writer of the transport; it takes all that stands in the queue at once.
func (c *connection) write() {
	var out []byte
	for {
		c.mu.Lock()
		for !c.over && len(c.urgent) == 0 && !(c.flush && len(c.queued) > 0) {
			if c.closeAfter && len(c.queued) == 0 {
				break
			}
			c.writable.Wait()
		}
		if c.over || (c.closeAfter && len(c.queued) == 0 && len(c.urgent) == 0) {
			c.mu.Unlock()
			c.close()
			return
		}
		if len(c.urgent) > 0 {
			out = append(c.urgent, c.queued...)
			c.urgent, c.queued = nil, c.queued[:0]
		} else {
			out, c.queued = c.queued, out[:0]
		}
		c.flush = false
		c.drained.Broadcast()
		c.mu.Unlock()
		if _, err := c.transport.Write(out); err != nil {
			c.close()
			return
		}
		if cap(out) > keptBufferBytes {
			out = nil
		}
	}
}

func (c *connection) flushNow() {
	c.mu.Lock()
	c.flush = len(c.queued) > 0
	c.writable.Signal()
	c.mu.Unlock()
}

// send queues a frame. A `patient` one may wait a moment for company.
func (c *connection) send(patient bool, kind byte, stream uint32, parts ...[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.closeAfter {
		return
	}
	c.queued = appendFrame(c.queued, kind, stream, parts...)
	switch {
	case len(c.queued) > maxUnreadBytes:
		c.over = true
		c.flush = true
		c.transport.Close() // frees a writer that hangs in it
	case patient && !c.flush && len(c.queued) < maxQueuedBytes/4:
		c.timer.Reset(coalesceFor)
		return
	default:
		c.flush = true
	}
	c.writable.Signal()
}

func (c *connection) sendUrgent(kind byte, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.closeAfter {
		return
	}
	if c.urgent = appendFrame(c.urgent, kind, 0, payload); len(c.urgent) > maxUnreadBytes {
		c.over = true
		c.transport.Close()
	}
	c.writable.Signal()
}

// goaway says why, and closes once that is written.
func (c *connection) goaway(reason, message string) {
	payload, _ := json.Marshal(map[string]string{"reason": reason, "message": message})
	c.mu.Lock()
	c.queued = appendFrame(c.queued, frameGoaway, 0, payload)
	c.closeAfter, c.flush = true, true
	c.writable.Signal()
	c.mu.Unlock()
	// A peer that does not read does not hold us.
	time.AfterFunc(time.Second, c.close)
}

func (c *connection) close() {
	c.mu.Lock()
	c.over = true
	c.timer.Stop()
	c.writable.Broadcast()
	c.drained.Broadcast()
	c.mu.Unlock()
	c.end()
	c.transport.Close()
}

// stream is one operation of a peer.
type stream struct {
	connection *connection
	id         uint32
	context    context.Context // ends with RESULT, CANCEL or the connection
	cancel     context.CancelCauseFunc

	mu      sync.Mutex
	credit  [channelCount]int64
	granted [channelCount]chan struct{}

	input    inbox
	control  func(*members) // set while a program runs
	exitTold bool
	started  time.Time
}

func newStream(c *connection, id uint32) *stream {
	s := &stream{connection: c, id: id, started: time.Now()}
	s.context, s.cancel = context.WithCancelCause(c.context)
	for channel := range channelCount {
		s.credit[channel] = initialWindow
		s.granted[channel] = make(chan struct{}, 1)
	}
	s.input.window = initialWindow
	s.input.arrived = make(chan struct{}, 1)
	return s
}

func notify(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

func (s *stream) grant(channel byte, count uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit[channel]+int64(count) > maxWindow {
		return violation("window beyond 2147483647 bytes")
	}
	s.credit[channel] += int64(count)
	notify(s.granted[channel])
	return nil
}

// take waits for window on a channel and returns how much of `wanted` may be sent.
func (s *stream) take(channel byte, wanted int) (int, error) {
	for {
		s.mu.Lock()
		if have := s.credit[channel]; have > 0 {
			count := int(min(have, int64(wanted), maxDataBytes))
			s.credit[channel] -= int64(count)
			s.mu.Unlock()
			return count, nil
		}
		s.mu.Unlock()
		select {
		case <-s.granted[channel]:
		case <-s.context.Done():
			return 0, context.Cause(s.context)
		}
	}
}

// window is what may be sent on a channel without waiting.
func (s *stream) window(channel byte) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credit[channel]
}

// send writes bytes on a channel within its window; it waits for the peer and the transport.
func (s *stream) send(channel byte, content []byte) error {
	patient := time.Since(s.started) < 5*time.Millisecond
	for len(content) > 0 {
		count, err := s.take(channel, len(content))
		if err != nil {
			return err
		}
		if err := s.connection.awaitRoom(); err != nil {
			return err
		}
		s.connection.send(patient, frameData, s.id, []byte{channel}, content[:count])
		content = content[count:]
	}
	return nil
}

func (c *connection) awaitRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queued) > maxQueuedBytes && !c.over {
		c.drained.Wait()
	}
	if c.over {
		return errConnectionLost
	}
	return nil
}

func (s *stream) sendEnd(channel byte) {
	s.connection.send(true, frameEnd, s.id, []byte{channel})
}

func (s *stream) event(fields map[string]any) {
	payload, _ := json.Marshal(fields)
	s.connection.send(true, frameEvent, s.id, payload)
}

func (s *stream) setControl(control func(*members)) {
	s.mu.Lock()
	s.control = control
	s.mu.Unlock()
}

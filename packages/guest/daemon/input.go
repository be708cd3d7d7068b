package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// inbox is input that waits for its operation; the peer's window bounds it.
type inbox struct {
	mu       sync.Mutex
	chunks   [][]byte
	window   int64
	ended    bool
	arrived  chan struct{}
	consumed int
}

// deliver takes DATA of the peer in; it never waits.
func (in *inbox) deliver(chunk []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return violation("DATA after END")
	}
	if int64(len(chunk)) > in.window {
		return violation("DATA beyond the window")
	}
	in.window -= int64(len(chunk))
	in.chunks = append(in.chunks, append([]byte(nil), chunk...))
	notify(in.arrived)
	return nil
}

func (in *inbox) finish() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return violation("END after END")
	}
	in.ended = true
	notify(in.arrived)
	return nil
}

// read returns the next input of the stream, or io.EOF after END.
func (s *stream) read() ([]byte, error) {
	for {
		s.input.mu.Lock()
		if len(s.input.chunks) > 0 {
			chunk := s.input.chunks[0]
			s.input.chunks = s.input.chunks[1:]
			s.input.mu.Unlock()
			return chunk, nil
		}
		ended := s.input.ended
		s.input.mu.Unlock()
		if ended {
			return nil, io.EOF
		}
		select {
		case <-s.input.arrived:
		case <-s.context.Done():
			return nil, context.Cause(s.context)
		}
	}
}

// readExactly takes input of a length that was announced.
func (s *stream) readExactly(size int) ([]byte, error) {
	var text []byte
	for {
		chunk, err := s.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		text = append(text, chunk...)
		s.consumed(len(chunk))
		if len(text) > size {
			break
		}
	}
	if len(text) != size {
		return nil, refuse("invalid_argument", "", "input is not of the %d bytes announced", size)
	}
	return text, nil
}

// consumed gives the peer its window back, in steps large enough to be worth a frame.
func (s *stream) consumed(count int) {
	s.input.mu.Lock()
	s.input.consumed += count
	grant := 0
	if s.input.consumed >= initialWindow/4 && !s.input.ended {
		grant, s.input.consumed = s.input.consumed, 0
		s.input.window += int64(grant)
	}
	s.input.mu.Unlock()
	if grant > 0 {
		payload := binary.BigEndian.AppendUint32([]byte{channelInput}, uint32(grant))
		s.connection.send(false, frameWindow, s.id, payload)
	}
}

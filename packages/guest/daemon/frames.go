package main

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame types, as in protocol.md.
const (
	frameHello   byte = 1
	frameOpen    byte = 2
	frameData    byte = 3
	frameEnd     byte = 4
	frameWindow  byte = 5
	frameEvent   byte = 6
	frameControl byte = 7
	frameResult  byte = 8
	frameError   byte = 9
	frameCancel  byte = 10
	framePing    byte = 11
	framePong    byte = 12
	frameGoaway  byte = 13
)

// Channels of a stream.
const (
	channelInput  byte = 0
	channelOutput byte = 1
	channelErrors byte = 2
	channelCount       = 3
)

const (
	frameHeaderBytes = 9
	minFrameLength   = 5
	maxFrameLength   = minFrameLength + 1<<20
	maxDataBytes     = 1 << 16
	initialWindow    = 1 << 18
	maxWindow        = 1<<31 - 1
)

// frame is one frame off the wire. Its payload is valid until the next one is read.
type frame struct {
	kind    byte
	stream  uint32
	payload []byte
}

// violation says which rule of the protocol a peer broke.
type violation string

func (v violation) Error() string { return string(v) }

func appendFrame(buffer []byte, kind byte, stream uint32, parts ...[]byte) []byte {
	length := minFrameLength
	for _, part := range parts {
		length += len(part)
	}
	buffer = binary.BigEndian.AppendUint32(buffer, uint32(length))
	buffer = append(buffer, kind)
	buffer = binary.BigEndian.AppendUint32(buffer, stream)
	for _, part := range parts {
		buffer = append(buffer, part...)
	}
	return buffer
}

// frameReader takes frames off a byte stream without ever holding more than one of them and what came with it.
type frameReader struct {
	source     io.Reader
	buffer     []byte
	start, end int
}

const readBufferBytes = 128 << 10

func newFrameReader(source io.Reader) *frameReader {
	return &frameReader{source: source, buffer: make([]byte, readBufferBytes)}
}

// next returns a frame that fulfils the rules every frame has to; io.EOF only between two frames.
func (r *frameReader) next() (frame, error) {
	if err := r.fill(4); err != nil {
		return frame{}, err
	}
	length := int(binary.BigEndian.Uint32(r.buffer[r.start:]))
	if length < minFrameLength || length > maxFrameLength {
		return frame{}, violation(fmt.Sprintf("frame length %d is out of range", length))
	}
	if err := r.fill(frameHeaderBytes); err != nil {
		return frame{}, midFrame(err)
	}
	f := frame{kind: r.buffer[r.start+4], stream: binary.BigEndian.Uint32(r.buffer[r.start+5:])}
	size := length - minFrameLength
	if err := checkHeader(f.kind, f.stream, size); err != nil {
		return frame{}, err
	}
	if 4+length > len(r.buffer) {
		f.payload = make([]byte, size)
		have := copy(f.payload, r.buffer[r.start+frameHeaderBytes:r.end])
		r.start, r.end = 0, 0
		if _, err := io.ReadFull(r.source, f.payload[have:]); err != nil {
			return frame{}, midFrame(err)
		}
	} else {
		if err := r.fill(4 + length); err != nil {
			return frame{}, midFrame(err)
		}
		f.payload = r.buffer[r.start+frameHeaderBytes : r.start+4+length]
		r.start += 4 + length
	}
	return f, checkPayload(f)
}

// fill reads until `count` bytes stand in the buffer.
func (r *frameReader) fill(count int) error {
	if r.end-r.start >= count {
		return nil
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
	} else if r.start+count > len(r.buffer) {
		r.end = copy(r.buffer, r.buffer[r.start:r.end])
		r.start = 0
	}
	for r.end-r.start < count {
		n, err := r.source.Read(r.buffer[r.end:])
		r.end += n
		if n == 0 && err != nil {
			if err == io.EOF && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

func midFrame(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkHeader refuses what is wrong before a byte of the payload is waited for.
func checkHeader(kind byte, stream uint32, size int) error {
	connectionWide := kind == frameHello || kind == framePing || kind == framePong || kind == frameGoaway
	if kind < frameHello || kind > frameGoaway {
		return violation(fmt.Sprintf("unknown frame type %d", kind))
	}
	if connectionWide != (stream == 0) {
		return violation(fmt.Sprintf("frame type %d on stream %d", kind, stream))
	}
	fits := true
	switch kind {
	case frameData:
		fits = size >= 2 && size <= 1+maxDataBytes
	case frameEnd:
		fits = size == 1
	case frameWindow:
		fits = size == 5
	case frameCancel:
		fits = size == 0
	case framePing, framePong:
		fits = size == 8
	}
	if !fits {
		return violation(fmt.Sprintf("frame type %d with %d bytes of payload", kind, size))
	}
	return nil
}

func checkPayload(f frame) error {
	switch f.kind {
	case frameData, frameEnd, frameWindow:
		if f.payload[0] >= channelCount {
			return violation(fmt.Sprintf("channel %d does not exist", f.payload[0]))
		}
	}
	if f.kind == frameWindow && binary.BigEndian.Uint32(f.payload[1:]) == 0 {
		return violation("window of 0 bytes")
	}
	return nil
}

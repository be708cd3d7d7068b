package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

type frameVectors struct {
	Valid []struct {
		Name, Hex, Type, DataHex string
		Stream                   uint32
		JSON                     any `json:"json"`
		Channel, Bytes           *int
	}
	Invalid []struct{ Name, Hex, Why string }
}

var typeNames = []string{"", "HELLO", "OPEN", "DATA", "END", "WINDOW", "EVENT", "CONTROL", "RESULT", "ERROR", "CANCEL", "PING", "PONG", "GOAWAY"}

func readVectors(t testing.TB) frameVectors {
	t.Helper()
	content, err := os.ReadFile("../vectors/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors frameVectors
	if err := json.Unmarshal(content, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	content, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFramesOfTheVectorsAreRead(t *testing.T) {
	for _, vector := range readVectors(t).Valid {
		t.Run(vector.Name, func(t *testing.T) {
			wire := unhex(t, vector.Hex)
			for _, source := range []io.Reader{bytes.NewReader(wire), iotest.OneByteReader(bytes.NewReader(wire))} {
				got, err := newFrameReader(source).next()
				if err != nil {
					t.Fatal(err)
				}
				if typeNames[got.kind] != vector.Type || got.stream != vector.Stream {
					t.Fatalf("got %s on %d", typeNames[got.kind], got.stream)
				}
				if again := appendFrame(nil, got.kind, got.stream, got.payload); !bytes.Equal(again, wire) {
					t.Fatalf("written again: %x", again)
				}
				payload := got.payload
				if vector.Channel != nil {
					if int(payload[0]) != *vector.Channel {
						t.Fatalf("channel %d", payload[0])
					}
					payload = payload[1:]
				}
				if vector.DataHex != "" && hex.EncodeToString(payload) != vector.DataHex {
					t.Fatalf("payload %x", payload)
				}
			}
		})
	}
}

func TestFramesThatBreakTheRulesAreRefusedAtOnce(t *testing.T) {
	for _, vector := range readVectors(t).Invalid {
		t.Run(vector.Name, func(t *testing.T) {
			_, err := newFrameReader(bytes.NewReader(unhex(t, vector.Hex))).next()
			var broken violation
			if !errors.As(err, &broken) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestManyFramesInOneReadAndOneThatIsLargerThanTheBuffer(t *testing.T) {
	large := bytes.Repeat([]byte("x"), maxFrameLength-minFrameLength)
	wire := appendFrame(nil, frameCancel, 1)
	wire = appendFrame(wire, frameOpen, 3, large)
	wire = appendFrame(wire, frameCancel, 5)
	for _, source := range []io.Reader{bytes.NewReader(wire), iotest.HalfReader(bytes.NewReader(wire))} {
		reader := newFrameReader(source)
		for _, wanted := range []frame{{frameCancel, 1, nil}, {frameOpen, 3, large}, {frameCancel, 5, nil}} {
			got, err := reader.next()
			if err != nil || got.stream != wanted.stream || !bytes.Equal(got.payload, wanted.payload) {
				t.Fatalf("stream %d, %d bytes, %v", got.stream, len(got.payload), err)
			}
		}
		if _, err := reader.next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	}
}

func TestAnEndInsideOfAFrameIsNotAnEnd(t *testing.T) {
	wire := appendFrame(nil, frameOpen, 1, []byte("{}"))
	for cut := 1; cut < len(wire); cut++ {
		if _, err := newFrameReader(bytes.NewReader(wire[:cut])).next(); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzFrameReader(f *testing.F) {
	vectors := readVectors(f)
	for _, vector := range vectors.Valid {
		f.Add(unhex(f, vector.Hex))
	}
	for _, vector := range vectors.Invalid {
		f.Add(unhex(f, vector.Hex))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		whole, cut := newFrameReader(bytes.NewReader(wire)), newFrameReader(iotest.OneByteReader(bytes.NewReader(wire)))
		var again []byte
		for {
			one, err := whole.next()
			payload := append([]byte(nil), one.payload...)
			other, otherErr := cut.next()
			if (err == nil) != (otherErr == nil) {
				t.Fatalf("%v, a byte at a time %v", err, otherErr)
			}
			if err != nil {
				break
			}
			if one.kind != other.kind || one.stream != other.stream || !bytes.Equal(payload, other.payload) {
				t.Fatal("differs when cut")
			}
			again = appendFrame(again, one.kind, one.stream, payload)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Fatal("written again it differs")
		}
	})
}

package main

import "time"

const maxCollectedBytes = 64 << 20

// outputLimit is how much of each stream is kept; without one output is streamed.
type outputLimit struct {
	present bool
	max     int
	tail    bool
}

func readOutputLimit(m *members) outputLimit {
	if !m.has("output") {
		return outputLimit{}
	}
	inner := m.object("output")
	limit := outputLimit{present: true, max: int(inner.integer("maxBytes", 0, maxCollectedBytes))}
	keep := inner.text("keep")
	if keep != "head" && keep != "tail" {
		inner.refuse("keep", "head or tail")
	}
	limit.tail = keep == "tail"
	m.adopt("output", inner)
	return limit
}

func (l outputLimit) collector() *collector { return &collector{max: l.max, tail: l.tail} }

// output of a program goes to the stream or into a collector.
type output struct {
	sink      func([]byte)
	collected *collector
}

func newOutput(s *stream, channel byte, limit outputLimit) output {
	if limit.present {
		collected := limit.collector()
		return output{sink: collected.add, collected: collected}
	}
	return output{sink: func(content []byte) { s.send(channel, content) }}
}

func (o output) bytes() []byte {
	if o.collected == nil {
		return nil
	}
	return o.collected.bytes()
}

func (o output) dropped() int64 {
	if o.collected == nil {
		return 0
	}
	return o.collected.dropped
}

func settleAll(pumps []*pump) []<-chan struct{} {
	settled := make([]<-chan struct{}, len(pumps))
	for i, p := range pumps {
		settled[i] = p.settle(nil, nil)
	}
	return settled
}

// awaitOutput waits until the rest of the output was taken, and tells of the end before when that may be long.
func awaitOutput(run *callRun, s *stream, settled <-chan struct{}, exit map[string]any, streamed bool) {
	if !streamed {
		<-settled
		return
	}
	moment := time.NewTimer(5 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-settled:
		return
	case <-moment.C:
	}
	s.tellExit(exit)
	<-settled
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"sync"
)

const (
	maxKeptBytes = 64 << 20
	maxKeptCalls = 4096
)

type callState int

const (
	callRunning  callState = iota
	callFinished           // its result is kept
	callUnknown            // claimed, and its result is not known or not kept
	callReleased
)

// call is what is known of one key.
type call struct {
	id        string
	state     callState
	digest    [sha256.Size]byte
	committed bool // stands in the log
	context   context.Context
	cancel    context.CancelCauseFunc
	done      chan struct{}
	result    *outcome
	failure   *failure
}

// calls remembers which keyed calls were claimed, and who may make them.
type calls struct {
	mu         sync.Mutex
	log        *callLog
	generation int64
	known      map[string]*call
	kept       []*call // finished, oldest first
	keptBytes  int
}

func newCalls(stateDirectory string) (*calls, error) {
	log, generation, known, err := openCallLog(stateDirectory)
	if err != nil {
		return nil, err
	}
	return &calls{log: log, generation: generation, known: known}, nil
}

// enter gives a peer its standing: the generation it acts in, and whether another took over since.
func (c *calls) enter(peer *connection, mode string, generation int64) (current int64, fenced bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch mode {
	case "takeover":
		if err := c.log.generation(c.generation + 1); err != nil {
			return 0, false, fmt.Errorf("cannot record a takeover: %w", err)
		}
		c.generation++
		peer.generation, peer.keyed = c.generation, true
	case "resume":
		peer.generation, peer.keyed = generation, true
		fenced = generation != c.generation
	}
	return c.generation, fenced, nil
}

// claim is a key on its way to being one: checked, and bound to its request.
type claim struct {
	id     string
	peer   *connection
	hasher hash.Hash
}

var errFenced = refuse("aborted", "fenced", "another worker has taken this sandbox over")

// standing refuses peers that may not make keyed calls. Under the lock.
func (c *calls) standing(peer *connection) error {
	if !peer.keyed {
		return refuse("failed_precondition", "", "a connection that joined makes no calls with a key")
	}
	if peer.generation != c.generation {
		return errFenced
	}
	return nil
}

// key reads the key of a request; nil when it has none.
func (c *calls) key(s *stream, m *members) (*claim, error) {
	if !m.has("call") {
		return nil, nil
	}
	id := m.text("call")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	if !validName(id) {
		return nil, refuse("invalid_argument", "", "call: 1 to 128 characters of A-Z a-z 0-9 _ -")
	}
	if readsOnly[m.text("op")] {
		return nil, refuse("invalid_argument", "", "%s changes nothing and takes no key", m.text("op"))
	}
	c.mu.Lock()
	err := c.standing(s.connection)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	hasher := sha256.New()
	canonical, err := canonicalRequest(m)
	if err != nil {
		return nil, invalid(err)
	}
	fmt.Fprintf(hasher, "%d:", len(canonical))
	hasher.Write(canonical)
	return &claim{id: id, peer: s.connection, hasher: hasher}, nil
}

// readsOnly are the operations that do nothing twice.
var readsOnly = map[string]bool{
	"file.stat": true, "file.read": true, "file.list": true, "text.readLines": true, "text.glob": true, "text.grep": true,
	"call.status": true, "call.release": true, "stats": true,
}

func validName(name string) bool {
	if len(name) < 1 || len(name) > 128 {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// canonicalRequest is the request without its key, the same however its members were ordered.
func canonicalRequest(m *members) ([]byte, error) {
	plain := map[string]any{}
	for name, raw := range m.raw {
		if name == "call" {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		plain[name] = value
	}
	return json.Marshal(plain)
}

// callRun is one execution of an operation, tied to its key or else to its stream.
type callRun struct {
	context context.Context
	stream  *stream
	calls   *calls
	call    *call
}

// commit records the claim; called right before the first effect, and nothing is done when it fails.
func (r *callRun) commit() error {
	if r.call == nil {
		if r.context.Err() != nil {
			return errCancelled
		}
		return nil
	}
	return r.calls.commit(r.call, r.stream.connection)
}

func (r *callRun) event(fields map[string]any) { r.stream.event(fields) }

// inputLost ends a keyed run whose input can never be whole; it would take half of it for all.
func (r *callRun) inputLost() {
	if r.call != nil {
		r.call.cancel(errConnectionLost)
	}
}

func (c *calls) commit(one *call, peer *connection) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.committed {
		return nil
	}
	if one.context.Err() != nil {
		return errCancelled
	}
	if err := c.standing(peer); err != nil {
		return err
	}
	if err := c.log.claim(one.id, one.digest); err != nil {
		return posixFailure(err, "recording the claim of call "+one.id, "none")
	}
	one.committed = true
	return nil
}

// once runs `work` under the key, or answers what is known of it; without a key it just runs it.
func (k *claim) once(d *daemon, s *stream, content []byte, work func(*callRun) (*outcome, error)) (*outcome, error) {
	if k == nil {
		return work(&callRun{context: s.context, stream: s})
	}
	k.hasher.Write(content)
	one, mine, err := d.calls.begin(k)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(s.context, func() {
		if errors.Is(context.Cause(s.context), errCancelled) {
			one.cancel(errCancelled)
		}
	})
	defer stop()
	if !mine {
		select {
		case <-one.done:
		case <-s.connection.context.Done():
			return nil, errConnectionLost
		}
		return one.answer()
	}
	finished := false
	defer func() {
		if !finished {
			d.calls.finish(one, nil, &failure{Code: "internal", Message: "the guest failed", Effect: "unknown"})
		}
	}()
	result, err := work(&callRun{context: one.context, stream: s, calls: d.calls, call: one})
	finished = true
	if err != nil {
		err = streamFailure(err)
	}
	d.calls.finish(one, result, err)
	return result, err
}

// begin claims a key in memory; `mine` is false when another stream runs it.
func (c *calls) begin(k *claim) (one *call, mine bool, err error) {
	digest := [sha256.Size]byte(k.hasher.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.standing(k.peer); err != nil {
		return nil, false, err
	}
	known := c.known[k.id]
	if known == nil {
		one = &call{id: k.id, digest: digest, done: make(chan struct{})}
		one.context, one.cancel = context.WithCancelCause(context.Background())
		c.known[k.id] = one
		return one, true, nil
	}
	switch {
	case known.state == callReleased:
		return nil, false, refuse("failed_precondition", "call_released", "call %s: its result was released", k.id)
	case known.digest != digest:
		return nil, false, refuse("invalid_argument", "call_mismatch", "call %s was made with another request", k.id)
	case known.state == callUnknown:
		return nil, false, &failure{Code: "unknown", Message: "call " + k.id + " was claimed and its end is not known", Effect: "unknown", Reason: "claim_without_result"}
	case known.state == callFinished:
		return known.replay(), false, nil
	}
	return known, false, nil
}

// replay is the kept result as a call that has ended.
func (one *call) replay() *call {
	copied := &call{id: one.id, done: one.done, failure: one.failure, cancel: one.cancel}
	if one.result != nil {
		result := *one.result
		result.fields = map[string]any{"replayed": true}
		for name, value := range one.result.fields {
			if name != "replayed" {
				result.fields[name] = value
			}
		}
		copied.result = &result
	}
	return copied
}

// answer is the end of a call that is done.
func (one *call) answer() (*outcome, error) {
	if one.failure != nil {
		return nil, one.failure
	}
	return one.result, nil
}

// finish keeps the result, or undoes the claim when nothing was done.
func (c *calls) finish(one *call, result *outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(one.done)
	one.cancel(nil)
	one.result = result
	if err != nil {
		one.failure = streamFailure(err)
		if one.failure.Effect == "none" {
			delete(c.known, one.id)
			if one.committed {
				c.log.undo(one.id)
			}
			return
		}
	}
	one.state = callFinished
	c.kept = append(c.kept, one)
	c.keptBytes += one.size()
	for len(c.kept) > maxKeptCalls || c.keptBytes > maxKeptBytes {
		c.kept[0].state = callUnknown
		c.forget(c.kept[0])
	}
}

func (one *call) size() int {
	size := 256
	if one.result != nil {
		for _, content := range one.result.output {
			size += cap(content)
		}
	}
	return size
}

// forget lets a kept payload go. Who waits for it at this moment still has it.
func (c *calls) forget(one *call) {
	for at, candidate := range c.kept {
		if candidate == one {
			c.kept = append(c.kept[:at:at], c.kept[at+1:]...)
			c.keptBytes -= one.size()
			c.known[one.id] = &call{id: one.id, digest: one.digest, state: one.state, committed: true, done: one.done}
			return
		}
	}
}

func opCallStatus(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	id := m.text("id")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	d.calls.mu.Lock()
	defer d.calls.mu.Unlock()
	status := "unclaimed"
	if known := d.calls.known[id]; known != nil {
		status = map[callState]string{callRunning: "running", callFinished: "finished", callUnknown: "unknown", callReleased: "finished"}[known.state]
	}
	return &outcome{fields: map[string]any{"status": status}}, nil
}

const maxReleased = 256

func opCallRelease(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	ids := m.texts("ids")
	if m.err() == nil && (len(ids) < 1 || len(ids) > maxReleased) {
		m.refuse("ids", fmt.Sprintf("1 to %d keys", maxReleased))
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	d.calls.mu.Lock()
	defer d.calls.mu.Unlock()
	if err := d.calls.release(ids); err != nil {
		return nil, err
	}
	return &outcome{fields: map[string]any{}}, nil
}

// release lets go of the results of all, or of none. Under the lock.
func (c *calls) release(ids []string) error {
	var held []*call
	for _, id := range ids {
		one := c.known[id]
		if one == nil || one.state == callReleased {
			continue
		}
		if one.state == callRunning {
			return refuse("failed_precondition", "", "call %s still runs", id)
		}
		held = append(held, one)
	}
	if len(held) == 0 {
		return nil
	}
	if err := c.log.release(held); err != nil {
		return posixFailure(err, "recording the release of calls", "none")
	}
	for _, one := range held {
		wasKept := one.state == callFinished
		one.state = callReleased
		if wasKept {
			c.forget(one)
		}
	}
	return nil
}

func (c *calls) isKnown(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id] != nil
}

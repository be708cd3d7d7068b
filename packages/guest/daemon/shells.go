package main

import (
	"context"
	"sync"
)

const maxShells = 64

// shells are the persistent shells by name.
type shells struct {
	mu    sync.Mutex
	named map[string]*shellSlot
}

// shellSlot is a name; the shell behind it changes. Who holds `turn` runs the one command.
type shellSlot struct {
	turn  chan struct{}
	shell *shell
}

func (s *shells) slot(name string) (*shellSlot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.named[name]
	if slot == nil {
		if len(s.named) >= maxShells {
			return nil, refuse("resource_exhausted", "", "more than %d shells", maxShells)
		}
		slot = &shellSlot{turn: make(chan struct{}, 1)}
		s.named[name] = slot
	}
	return slot, nil
}

func (s *shells) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.named)
}

// take waits for the slot's turn.
func (slot *shellSlot) take(patience context.Context) error {
	select {
	case slot.turn <- struct{}{}:
		return nil
	case <-patience.Done():
		return errCancelled
	}
}

func (slot *shellSlot) release() { <-slot.turn }

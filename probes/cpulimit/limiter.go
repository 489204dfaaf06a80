/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package cpulimit

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"farpoint.dev/farpoint/probes"
)

// Limiter lets only so many probes compute at one time what takes long: TLS handshakes,
// logins, patterns in bodies. A crowd of them then delays no other probe for long. Namespaces
// take turns: one with ten thousand endpoints makes nobody wait who has ten.
type Limiter struct {
	// Mu guards everything below. Nothing waits while holding it.
	Mu   sync.Mutex
	Free int
	// lines are those in which somebody waits, by namespace and in the order of their turns.
	lines map[string]*waitQueue
	order []*waitQueue
}

// waitQueue is where the probes of one namespace wait, each for its channel to be closed.
type waitQueue struct {
	namespace string
	// resumed have had a turn before. They go first: what they have computed would be lost if
	// they ran out of time.
	resumed, fresh []chan struct{}
}

// New returns a limiter that lets at most so many probes compute at a time.
func New(most int) *Limiter {
	return &Limiter{Free: most, lines: map[string]*waitQueue{}}
}

// Waiting counts the probes of a namespace that wait for their first turn.
func (c *Limiter) Waiting(namespace string) int {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if at := c.lines[namespace]; at != nil {
		return len(at.fresh)
	}
	return 0
}

// Take waits for a turn, and returns false if the context is done first.
func (c *Limiter) Take(ctx context.Context, namespace string, resumed bool) bool {
	slot := c.join(namespace, resumed)
	if slot == nil {
		// A probe that is about to wait, too, has a place in the line before this one computes.
		// Otherwise the line would be that of the runtime, which knows no namespaces.
		runtime.Gosched()
		return true
	}
	select {
	case <-slot:
		return true
	case <-ctx.Done():
		return !c.leave(namespace, slot)
	}
}

// join returns nil to who may compute at once, and to others what to wait for.
func (c *Limiter) join(namespace string, resumed bool) chan struct{} {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if c.Free > 0 {
		c.Free--
		return nil
	}
	at := c.lines[namespace]
	if at == nil {
		at = &waitQueue{namespace: namespace}
		c.lines[namespace] = at
		c.order = append(c.order, at)
	}
	slot := make(chan struct{})
	if resumed {
		at.resumed = append(at.resumed, slot)
	} else {
		at.fresh = append(at.fresh, slot)
	}
	return slot
}

// leave gives up waiting, and returns false if it is too late for that: it is our turn.
func (c *Limiter) leave(namespace string, slot chan struct{}) bool {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	at := c.lines[namespace]
	if at == nil || !at.remove(slot) {
		return false
	}
	c.keep(at)
	return true
}

// Give ends a turn: the next line has one.
func (c *Limiter) Give() {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if len(c.order) == 0 {
		c.Free++
		return
	}
	next := c.order[0]
	c.order = append(c.order[1:], next)
	close(next.pop())
	c.keep(next)
}

// keep forgets a line in which nobody waits any more.
func (c *Limiter) keep(at *waitQueue) {
	if len(at.resumed)+len(at.fresh) == 0 {
		delete(c.lines, at.namespace)
		c.order = slices.DeleteFunc(c.order, func(other *waitQueue) bool { return other == at })
	}
}

// pop takes the first of the line, which is not empty.
func (l *waitQueue) pop() (first chan struct{}) {
	from := &l.resumed
	if len(l.resumed) == 0 {
		from = &l.fresh
	}
	first, *from = (*from)[0], (*from)[1:]
	return first
}

// remove takes somebody out of the line, who may not be in it.
func (l *waitQueue) remove(slot chan struct{}) bool {
	for _, of := range []*[]chan struct{}{&l.resumed, &l.fresh} {
		if at := slices.Index(*of, slot); at >= 0 {
			*of = slices.Delete(*of, at, at+1)
			return true
		}
	}
	return false
}

// Slot is the context of a probe that may have much to compute.
type Slot struct {
	context.Context
	Limiter   *Limiter
	Namespace string
	Timeout   time.Duration

	// mu guards what follows: pgconn may read in a goroutine of its own. Nothing waits while
	// holding it.
	mu sync.Mutex
	// resumed: it has had a turn before. holds: it has one.
	resumed, holds bool
	// waited is for how long in all.
	waited time.Duration
}

type turnKey struct{}

// Value implements context.Context.
func (t *Slot) Value(key any) any {
	if key == (turnKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// SlotOf returns nil for a probe that has the machine to itself.
func SlotOf(ctx context.Context) *Slot {
	t, _ := ctx.Value(turnKey{}).(*Slot)
	return t
}

// take waits until the probe may compute.
func (t *Slot) take() error {
	t.mu.Lock()
	resumed := t.resumed
	t.mu.Unlock()
	since := time.Now() //nolint:forbidigo // to compare with a context's deadline
	holds := t.Limiter.Take(t.Context, t.Namespace, resumed)
	t.mu.Lock()
	t.resumed, t.holds = true, holds
	t.waited += time.Since(since) //nolint:forbidigo // see above
	t.mu.Unlock()
	if !holds {
		return t.attributeTimeout(os.ErrDeadlineExceeded)
	}
	return nil
}

// give lets others compute, if it is the probe's turn.
func (t *Slot) give() {
	t.mu.Lock()
	held := t.holds
	t.holds = false
	t.mu.Unlock()
	if held {
		t.Limiter.Give()
	}
}

// crowdedError is a timeout that the operator caused: the probe waited for its turn to compute
// for most of the time.
type crowdedError struct{ error }

func (e *crowdedError) Unwrap() error { return e.error }

// ProbeResult implements resultError.
func (e *crowdedError) ProbeResult() probes.Result { return probes.UnknownResult(probes.ReasonCrowded) }

// attributeTimeout marks a timeout as our own fault if the endpoint had less than half of the time.
func (t *Slot) attributeTimeout(err error) error {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waited < t.Timeout/2 {
		return err
	}
	return &crowdedError{err}
}

// inTurn is a connection over which a probe computes in its turn, with what it reads. A probe
// that waits for the network holds nothing up.
type inTurn struct {
	net.Conn
	slot *Slot
	// computes: a read is followed by computing.
	computes atomic.Bool
}

// ComputeOver hands the connection to work, which is to compute, when it is the probe's
// turn. Its timeouts are blamed on who caused them, also later.
func ComputeOver(ctx context.Context, conn net.Conn, work func(net.Conn) error) error {
	slot := SlotOf(ctx)
	if slot == nil {
		return work(conn)
	}
	if err := slot.take(); err != nil {
		return err
	}
	defer slot.give()
	over := &inTurn{Conn: conn, slot: slot}
	over.computes.Store(true)
	defer over.computes.Store(false)
	return work(over)
}

// Read implements net.Conn.
func (c *inTurn) Read(p []byte) (int, error) {
	computes := c.computes.Load()
	if computes {
		c.slot.give()
	}
	n, err := c.Conn.Read(p)
	if computes && err == nil {
		if err = c.slot.take(); !c.computes.Load() {
			c.slot.give() // pgconn read ahead, and the work is over
		}
	}
	return n, c.slot.attributeTimeout(err)
}

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

// Limiter bounds how many probes compute at the same time what takes long: TLS handshakes,
// logins, patterns in bodies. Many of them then delay no other probe for long. Namespaces take
// turns: one with ten thousand endpoints does not delay one with ten.
type Limiter struct {
	// mu guards everything below. Nothing waits while holding it.
	mu   sync.Mutex
	free int
	// queues has the queues that are not empty, by namespace, and order has them in the order in
	// which they get slots.
	queues map[string]*waitQueue
	order  []*waitQueue
}

// waitQueue holds the waiting probes of one namespace. Each waits for its channel to be closed.
type waitQueue struct {
	namespace string
	// resumed probes have had a slot before. They go first: what they have computed would be lost
	// if they ran out of time.
	resumed, fresh []chan struct{}
}

// New returns a limiter with this many slots.
func New(slots int) *Limiter {
	return &Limiter{free: slots, queues: map[string]*waitQueue{}}
}

// Waiting counts the probes of a namespace that wait for their first slot.
func (c *Limiter) Waiting(namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.queues[namespace]; at != nil {
		return len(at.fresh)
	}
	return 0
}

// Free returns how many slots are free.
func (c *Limiter) Free() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.free
}

// Acquire waits for a slot, and returns false if the context is done first.
func (c *Limiter) Acquire(ctx context.Context, namespace string, resumed bool) bool {
	slot := c.join(namespace, resumed)
	if slot == nil {
		// Probes that are about to wait can enter the queue before this one computes. Otherwise
		// they would wait for the Go scheduler, which knows no namespaces.
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

// join returns nil if the probe may compute at once, and otherwise the channel to wait for.
func (c *Limiter) join(namespace string, resumed bool) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free > 0 {
		c.free--
		return nil
	}
	at := c.queues[namespace]
	if at == nil {
		at = &waitQueue{namespace: namespace}
		c.queues[namespace] = at
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

// leave stops waiting, and returns false if it is too late for that: the probe has the slot.
func (c *Limiter) leave(namespace string, slot chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.queues[namespace]
	if at == nil || !at.remove(slot) {
		return false
	}
	c.dropIfEmpty(at)
	return true
}

// Release frees a slot, which the next queue gets.
func (c *Limiter) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.order) == 0 {
		c.free++
		return
	}
	next := c.order[0]
	c.order = append(c.order[1:], next)
	close(next.pop())
	c.dropIfEmpty(next)
}

// dropIfEmpty removes a queue in which no probe waits.
func (c *Limiter) dropIfEmpty(at *waitQueue) {
	if len(at.resumed)+len(at.fresh) == 0 {
		delete(c.queues, at.namespace)
		c.order = slices.DeleteFunc(c.order, func(other *waitQueue) bool { return other == at })
	}
}

// pop removes the first probe of the queue, which is not empty.
func (l *waitQueue) pop() (first chan struct{}) {
	from := &l.resumed
	if len(l.resumed) == 0 {
		from = &l.fresh
	}
	first, *from = (*from)[0], (*from)[1:]
	return first
}

// remove removes a probe from the queue, and reports whether it was there.
func (l *waitQueue) remove(slot chan struct{}) bool {
	for _, of := range []*[]chan struct{}{&l.resumed, &l.fresh} {
		if at := slices.Index(*of, slot); at >= 0 {
			*of = slices.Delete(*of, at, at+1)
			return true
		}
	}
	return false
}

// Slot is the context of a probe that may compute for long. It holds a slot of its Limiter while
// the probe computes.
type Slot struct {
	context.Context
	Limiter   *Limiter
	Namespace string
	Timeout   time.Duration

	// mu guards what follows: pgconn may read in a goroutine of its own. Nothing waits while
	// holding it.
	mu sync.Mutex
	// resumed: the probe has had a slot before. holds: it has one.
	resumed, holds bool
	// waited is how long the probe has waited for slots in all.
	waited time.Duration
}

type slotKey struct{}

// Value implements context.Context.
func (t *Slot) Value(key any) any {
	if key == (slotKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// SlotOf returns the Slot of a context; nil for a probe whose computing is not limited.
func SlotOf(ctx context.Context) *Slot {
	t, _ := ctx.Value(slotKey{}).(*Slot)
	return t
}

// acquire waits until the probe may compute.
func (t *Slot) acquire() error {
	t.mu.Lock()
	resumed := t.resumed
	t.mu.Unlock()
	since := time.Now() //nolint:forbidigo // to compare with a context's deadline
	holds := t.Limiter.Acquire(t.Context, t.Namespace, resumed)
	t.mu.Lock()
	t.resumed, t.holds = true, holds
	t.waited += time.Since(since) //nolint:forbidigo // see above
	t.mu.Unlock()
	if !holds {
		return t.attributeTimeout(os.ErrDeadlineExceeded)
	}
	return nil
}

// release frees the slot if the probe holds one.
func (t *Slot) release() {
	t.mu.Lock()
	held := t.holds
	t.holds = false
	t.mu.Unlock()
	if held {
		t.Limiter.Release()
	}
}

// queueTimeoutError is a timeout that the operator caused: the probe waited for a slot for most of
// its time.
type queueTimeoutError struct{ error }

func (e *queueTimeoutError) Unwrap() error { return e.error }

// ProbeResult implements probes.ResultError.
func (e *queueTimeoutError) ProbeResult() probes.Result {
	return probes.UnknownResult(probes.ReasonCrowded)
}

// attributeTimeout marks a timeout as the operator's fault if the endpoint had less than half of
// the time.
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
	return &queueTimeoutError{err}
}

// slotConn is a connection that gives up the slot while the probe waits for the network.
type slotConn struct {
	net.Conn
	slot *Slot
	// computes: a read is followed by computing.
	computes atomic.Bool
}

// ComputeOver calls work, which computes with what it reads from the connection, once the probe
// has a slot. Timeouts of the connection that waiting for a slot caused are attributed to the
// operator, also after work has returned.
func ComputeOver(ctx context.Context, conn net.Conn, work func(net.Conn) error) error {
	slot := SlotOf(ctx)
	if slot == nil {
		return work(conn)
	}
	if err := slot.acquire(); err != nil {
		return err
	}
	defer slot.release()
	over := &slotConn{Conn: conn, slot: slot}
	over.computes.Store(true)
	defer over.computes.Store(false)
	return work(over)
}

// Read implements net.Conn.
func (c *slotConn) Read(p []byte) (int, error) {
	computes := c.computes.Load()
	if computes {
		c.slot.release()
	}
	n, err := c.Conn.Read(p)
	if computes && err == nil {
		if err = c.slot.acquire(); !c.computes.Load() {
			c.slot.release() // pgconn read ahead, and the work is over
		}
	}
	return n, c.slot.attributeTimeout(err)
}

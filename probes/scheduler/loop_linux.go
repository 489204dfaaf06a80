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

package scheduler

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/socket"
	"farpoint.dev/farpoint/probes/transport"
)

// loop makes the probes of LoopProbers in Start's goroutine, many at a time, with the same system
// calls as a goroutine for each. It saves waking up goroutines, their threads and the runtime's
// poller, which costs as much as the system calls when probes are spread over time.
//
// It handles only the usual course of a probe: a connection, a request that the kernel accepts
// whole, a response that arrives in one piece. Any other probe is handed, with its connection, to a
// goroutine, so that the code for slow endpoints exists only once.
type loop struct {
	scheduler *Scheduler
	epoll     int
	// wakePipe is a pipe. Writing to its end [1] ends the wait.
	wakePipe [2]int
	// asleep: only an event, or the wake pipe, ends the wait.
	asleep atomic.Bool
	// abandoned: a probe under way has no owner any more.
	abandoned atomic.Bool

	// The rest is only for Start's goroutine.

	// exchanges are the probes under way, by socket.
	exchanges map[int]exchange
	// lingering are the connections of probes that have ended.
	lingering map[int]lingering
	// expires is a time before which none of these expires.
	expires time.Duration
	// idleAt is when the loop last had no events left: those that it finds afterwards are later.
	idleAt time.Duration
	// yielded is when the loop last let other goroutines run.
	yielded time.Duration
	events  [128]syscall.EpollEvent
	buffer  [4096]byte
	partial transport.PartialResponse
}

// newLoop returns nil if there are no file descriptors left for a loop.
func newLoop(s *Scheduler) *loop {
	l := &loop{scheduler: s, exchanges: map[int]exchange{}, lingering: map[int]lingering{}, expires: math.MaxInt64}
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil
	}
	if err = syscall.Pipe2(l.wakePipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		syscall.Close(l.epoll)
		return nil
	}
	if err = l.watch(l.wakePipe[0]); err != nil {
		l.closeFiles()
		return nil
	}
	return l
}

// watch adds a descriptor to the loop, with one event for each change.
func (l *loop) watch(fd int) error {
	const events = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | syscall.EPOLLET&math.MaxUint32
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// close cancels the probes under way.
func (l *loop) close() {
	if l == nil {
		return
	}
	for fd, item := range l.exchanges {
		l.end(fd, item, probes.UnknownResult(probes.ReasonCanceled))
	}
	for fd := range l.lingering {
		l.forget(fd)
	}
	// wakeUp is called with the lock held. Afterwards the pipe's descriptor may be another file's.
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	l.closeFiles()
}

func (l *loop) closeFiles() {
	for _, fd := range []int{l.epoll, l.wakePipe[0], l.wakePipe[1]} {
		syscall.Close(fd)
	}
}

// begin begins a probe.
func (l *loop) begin(ctx context.Context, p *probe) {
	t := exchange{probe: p, LoopProber: p.prober.(transport.LoopProber)}
	fd, connecting := 0, false
	result := l.scheduler.guarded(func() probes.Result {
		var err error
		if fd, err = l.dial(t); err != nil {
			return transport.Classify(ctx, err)
		}
		connecting = true
		return probes.Result{}
	})
	if !connecting {
		l.scheduler.finish(p, result)
		return
	}
	t.deadline = l.scheduler.now() + t.rules.timing.Timeout
	l.keep(fd, t)
}

// keep has the loop watch a probe until its deadline.
func (l *loop) keep(fd int, t exchange) {
	l.exchanges[fd] = t
	l.expires = min(l.expires, tickAfter(t.deadline))
}

func (l *loop) dial(t exchange) (fd int, err error) {
	to, err := t.Address()
	if err != nil {
		return 0, err
	}
	if fd, err = socket.NewSocket(to); err != nil {
		return 0, err
	}
	if err = socket.BeginConnect(fd, to); err == nil {
		err = l.watch(fd)
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

// wait waits for events, until a time at most, and handles all that have occurred by then. Only then
// does it check deadlines: a response that has arrived is in time, however late the loop reads it.
func (l *loop) wait(ctx context.Context, until time.Duration) {
	now, left := l.sleepAndAdvance(ctx, min(until, l.expires))
	for left {
		now, left = l.advanceAll(ctx, 0)
	}
	if now >= l.expires {
		l.expire(now)
	}
	if l.abandoned.Swap(false) {
		l.giveUp()
	}
	l.drainWake() // the scheduler looks now in any case
}

// sleepAndAdvance waits for events and handles them as advanceAll does.
func (l *loop) sleepAndAdvance(ctx context.Context, until time.Duration) (now time.Duration, left bool) {
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	l.yield()
	// Rounded up: too early would be in vain.
	timeout := (until - l.scheduler.now() + time.Millisecond - 1) / time.Millisecond
	if l.drainWake() {
		timeout = 0
	}
	return l.advanceAll(ctx, max(timeout, 0))
}

// advanceAll waits for events for at most so many milliseconds, and handles them. It returns when it
// looked, and whether there may be more.
func (l *loop) advanceAll(ctx context.Context, milliseconds time.Duration) (now time.Duration, left bool) {
	before := l.scheduler.now()
	count, err := syscall.EpollWait(l.epoll, l.events[:], int(milliseconds))
	if err != nil {
		return before, false // interrupted: there may be events or not
	}
	now = l.scheduler.now()
	since := l.idleAt
	if now-before >= time.Millisecond {
		since = now // the call has waited for the event
	}
	l.asleep.Store(false)
	for i := range count {
		if event := &l.events[i]; event.Fd == int32(l.wakePipe[0]) {
			_, _ = syscall.Read(l.wakePipe[0], l.buffer[:])
		} else if t, ok := l.exchanges[int(event.Fd)]; ok {
			l.advance(ctx, int(event.Fd), t, event.Events, since)
		} else {
			l.linger(int(event.Fd))
		}
	}
	if left = count == len(l.events); !left {
		l.idleAt = now
	}
	return now, left
}

// yield lets other goroutines run, unless they just have. That is also cheaper: the runtime takes
// the processor away from a goroutine that never yields, during its wait, and then spends
// milliseconds on watching for the next such case, which costs as much as many probes.
func (l *loop) yield() {
	if now := l.scheduler.now(); now-l.yielded > yieldPause {
		l.yielded = now
		runtime.Gosched()
	}
}

// yieldPause is how long the loop may keep its processor to itself.
const yieldPause = 2 * time.Millisecond

// drainWake reports whether nudge was called, and resets that: the scheduler is about to look.
func (l *loop) drainWake() bool {
	select {
	case <-l.scheduler.wake:
		return true
	default:
		return false
	}
}

// wakeUp ends a wait. Any goroutine may call it with the scheduler's lock held.
func (l *loop) wakeUp() {
	if l != nil && l.asleep.CompareAndSwap(true, false) {
		_, _ = syscall.Write(l.wakePipe[1], []byte{0})
	}
}

// abandon makes the loop cancel probes without an owner the next time it wakes up.
func (l *loop) abandon() {
	if l != nil {
		l.abandoned.Store(true)
	}
}

// expire ends the probes whose deadline had passed by now, when the loop looked and there was no
// event for them.
func (l *loop) expire(now time.Duration) {
	l.expires = math.MaxInt64
	for fd, item := range l.exchanges {
		if item.deadline > now {
			l.expires = min(l.expires, tickAfter(item.deadline))
		} else {
			l.end(fd, item, probes.FailureResult(probes.ReasonTimeout))
		}
	}
	l.endLingering(now)
}

// giveUp cancels the probes that have no owner any more.
func (l *loop) giveUp() {
	for _, fd := range l.unwanted() {
		l.end(fd, l.exchanges[fd], probes.UnknownResult(probes.ReasonCanceled))
	}
}

func (l *loop) unwanted() (fds []int) {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	for fd, item := range l.exchanges {
		if item.first == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

func (l *loop) end(fd int, t exchange, result probes.Result) {
	delete(l.exchanges, fd)
	syscall.Close(fd)
	l.scheduler.finish(t.probe, result)
}

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

package probes

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// loop makes the probes of plain probers in Start's goroutine, many at a time, by the
// system calls that a goroutine for each would make. What it spares is the waking up: of
// goroutines, of threads for them and of the runtime's poller, which costs as much as the
// system calls when probes are paced.
//
// It knows only how nearly every probe goes: a connection, a request that the kernel
// takes whole, an answer that comes in one piece. A probe that goes otherwise is handed
// over, with its connection, to a goroutine. Thus there is one place that copes with
// endpoints that take their time.
type loop struct {
	scheduler *Scheduler
	epoll     int
	// bell is a pipe. Writing to its end [1] ends the wait.
	bell [2]int
	// asleep: the loop hears the bell only.
	asleep atomic.Bool
	// abandoned: there is a probe under way that nobody wants any more.
	abandoned atomic.Bool

	// The rest is only for Start's goroutine.

	// talks are the probes under way, by their sockets.
	talks map[int]talk
	// lingering are the connections of probes that are over.
	lingering map[int]lingering
	// expires is a time before which none of these does.
	expires time.Duration
	// yielded is when other goroutines last had their turn.
	yielded time.Duration
	events  [128]syscall.EpollEvent
	buffer  [4096]byte
	part    firstPart
}

// talk is a probe under way.
type talk struct {
	*probe
	plain
	// asked: the request has been said.
	asked bool
}

func (t talk) expires() time.Duration { return t.begun + t.rules.timing.Timeout }

// newLoop returns nil if the system has no room for a loop.
func newLoop(s *Scheduler) *loop {
	l := &loop{scheduler: s, talks: map[int]talk{}, lingering: map[int]lingering{}, expires: math.MaxInt64}
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil
	}
	if err = syscall.Pipe2(l.bell[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		syscall.Close(l.epoll)
		return nil
	}
	if err = l.watch(l.bell[0]); err != nil {
		l.closeFiles()
		return nil
	}
	return l
}

// watch makes the loop hear of a descriptor, once for each thing that happens to it.
func (l *loop) watch(fd int) error {
	const news = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | syscall.EPOLLET&math.MaxUint32
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: news, Fd: int32(fd)})
}

// close gives up the probes under way.
func (l *loop) close() {
	if l == nil {
		return
	}
	for fd, each := range l.talks {
		l.end(fd, each, unknown(ReasonCanceled))
	}
	for fd := range l.lingering {
		l.forget(fd)
	}
	// Who is about to ring holds the lock. Afterwards the bell's number may be another file's.
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	l.closeFiles()
}

func (l *loop) closeFiles() {
	for _, fd := range []int{l.epoll, l.bell[0], l.bell[1]} {
		syscall.Close(fd)
	}
}

// begin begins a probe.
func (l *loop) begin(ctx context.Context, p *probe) {
	t := talk{probe: p, plain: p.prober.(plain)}
	fd, dialled := 0, false
	result := l.scheduler.guarded(func() Result {
		var err error
		if fd, err = l.dial(t); err != nil {
			return classify(ctx, err)
		}
		dialled = true
		return Result{}
	})
	if !dialled {
		l.scheduler.finish(p, result)
		return
	}
	l.talks[fd] = t
	l.expires = min(l.expires, tickAfter(t.expires()))
}

func (l *loop) dial(t talk) (fd int, err error) {
	to, err := t.address()
	if err != nil {
		return 0, err
	}
	if fd, err = newSocket(to); err != nil {
		return 0, err
	}
	if err = syscall.Connect(fd, sockaddr(to)); err == nil || errors.Is(err, syscall.EINPROGRESS) {
		err = l.watch(fd)
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

// wait waits for something to happen, until a time at most, and sees to it.
func (l *loop) wait(ctx context.Context, until time.Duration) {
	count := l.sleep(min(until, l.expires))
	now := l.scheduler.now()
	for i := range count {
		if event := &l.events[i]; event.Fd == int32(l.bell[0]) {
			_, _ = syscall.Read(l.bell[0], l.buffer[:])
		} else if t, ok := l.talks[int(event.Fd)]; ok {
			l.advance(ctx, int(event.Fd), t, event.Events, now)
		} else {
			l.linger(int(event.Fd))
		}
	}
	if now >= l.expires {
		l.expire(now)
	}
	if l.abandoned.Swap(false) {
		l.giveUp()
	}
	l.hush() // the scheduler looks now in any case
}

// sleep waits until something happens, and returns how many descriptors it happened to.
func (l *loop) sleep(until time.Duration) int {
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	l.yield(until)
	// Rounded up: too early would be in vain.
	most := (until - l.scheduler.now() + time.Millisecond - 1) / time.Millisecond
	if l.hush() {
		most = 0
	}
	count, err := syscall.EpollWait(l.epoll, l.events[:], int(max(most, 0)))
	if err != nil {
		return 0 // interrupted
	}
	return count
}

// yield lets other goroutines go on, if there is time, and if they have not had their
// turn just now. It is cheaper, too: from a goroutine that never yields the runtime takes
// the processor in the midst of its wait, and then it is busy for milliseconds with
// watching out for the next such case, which costs as much as many probes.
func (l *loop) yield(until time.Duration) {
	if now := l.scheduler.now(); now < until && now-l.yielded > yieldPause {
		l.yielded = now
		runtime.Gosched()
	}
}

// yieldPause is how long the loop may keep its processor to itself.
const yieldPause = 2 * time.Millisecond

// hush tells whether somebody has nudged the scheduler, which is about to look then.
func (l *loop) hush() bool {
	select {
	case <-l.scheduler.wake:
		return true
	default:
		return false
	}
}

// ring ends a wait. It is for all goroutines, which hold the scheduler's lock.
func (l *loop) ring() {
	if l != nil && l.asleep.CompareAndSwap(true, false) {
		_, _ = syscall.Write(l.bell[1], []byte{0})
	}
}

// abandon makes the loop look for probes that nobody wants any more, the next time it
// wakes up.
func (l *loop) abandon() { l.abandoned.Store(true) }

// advance goes on with a probe after something happened to its socket.
func (l *loop) advance(ctx context.Context, fd int, t talk, events uint32, now time.Duration) {
	switch {
	case now >= t.expires():
		l.end(fd, t, failure(ReasonTimeout))
	case t.asked:
		l.listen(ctx, fd, t, nil)
	default:
		l.ask(ctx, fd, t, events)
	}
}

// ask says the request, on a connection that stands or has failed.
func (l *loop) ask(ctx context.Context, fd int, t talk, events uint32) {
	request := t.request()
	said, err := say(fd, request, events)
	switch {
	case err == nil && said < len(request):
		l.handOver(ctx, fd, t, request[said:], nil)
	case err != nil:
		// An endpoint may answer and close before it has read the request.
		l.listen(ctx, fd, t, err)
	case t.listens():
		t.asked = true
		l.talks[fd] = t
		if events&^syscall.EPOLLOUT != 0 {
			l.listen(ctx, fd, t, nil)
		}
	default:
		l.leave(fd, t, success(), farewell)
	}
}

// say writes what the kernel takes, or finds what has become of the connection if there
// is nothing to write.
func say(fd int, request []byte, events uint32) (said int, err error) {
	switch {
	case len(request) > 0:
		said, err = syscall.Write(fd, request)
	case events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0:
		var failed int
		if failed, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); failed != 0 {
			err = syscall.Errno(failed)
		}
	}
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil
	}
	return max(said, 0), err
}

// listen takes what has come of the answer. failed is why the request could not be said.
func (l *loop) listen(ctx context.Context, fd int, t talk, failed error) {
	count, err := 0, failed
	if t.listens() {
		count, err = syscall.Read(fd, l.buffer[:])
	}
	switch {
	case count > 0:
		l.judge(ctx, fd, t, l.buffer[:count])
		return
	case failed != nil:
		err = failed
	case err == nil:
		err = io.EOF
	case errors.Is(err, syscall.EAGAIN):
		return // there was other news than an answer
	}
	l.end(fd, t, classify(ctx, err))
}

// judge makes a result of the answer, if it is all here.
func (l *loop) judge(ctx context.Context, fd int, t talk, heard []byte) {
	var (
		how ending
		err error
	)
	result := l.scheduler.guarded(func() (result Result) {
		l.part.heard = heard
		result, how, err = t.hear(&l.part)
		return result
	})
	switch {
	case errors.Is(err, errUnfinished):
		l.handOver(ctx, fd, t, nil, slices.Clone(heard))
	case err != nil:
		l.end(fd, t, classify(ctx, err))
	default:
		l.leave(fd, t, result, how)
	}
}

// handOver has a goroutine make the rest of a probe.
func (l *loop) handOver(ctx context.Context, fd int, t talk, unsaid, heard []byte) {
	_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, fd, nil)
	delete(l.talks, fd)
	l.scheduler.handRest(ctx, t.probe, func(ctx context.Context) Result {
		to, _ := t.address()
		return resume(ctx, t.plain, socketOf(fd, to), unsaid, heard)
	})
}

// expire ends the probes whose time is over.
func (l *loop) expire(now time.Duration) {
	l.expires = math.MaxInt64
	for fd, each := range l.talks {
		if at := each.expires(); at > now {
			l.expires = min(l.expires, tickAfter(at))
		} else {
			l.end(fd, each, failure(ReasonTimeout))
		}
	}
	l.endLingering(now)
}

// giveUp ends the probes that nobody wants any more.
func (l *loop) giveUp() {
	for _, fd := range l.unwanted() {
		l.end(fd, l.talks[fd], unknown(ReasonCanceled))
	}
}

func (l *loop) unwanted() (fds []int) {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	for fd, each := range l.talks {
		if each.first == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

func (l *loop) end(fd int, t talk, result Result) {
	delete(l.talks, fd)
	syscall.Close(fd)
	l.scheduler.finish(t.probe, result)
}

//go:build linux

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

package cost

import (
	"errors"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// epollTick is how long the paced loop gathers what is due.
const epollTick = 10 * time.Millisecond

// epollFloor makes HTTP probes by a bare event loop in one thread, as fast as possible or
// paced. Like the blocking floor it looks at little, and has no timeouts.
type epollFloor struct {
	epoll   int
	targets []floorTarget
	// probing says by socket which target is probed.
	probing map[int32]int
	next    int
	done    int64
	failed  int64
}

func measureEpollFloor(t task, begin func()) (figures, error) {
	runtime.LockOSThread()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	floor := &epollFloor{epoll: epoll, probing: map[int32]int{}}
	for index := range t.Targets {
		floor.targets = append(floor.targets, t.floorTarget(index))
	}
	iterate := floor.saturate
	if t.Interval > 0 {
		start := time.Now()
		iterate = func() error { return floor.startDue(t.rate(), start) }
	}
	if err := floor.run(t.Warm, iterate); err != nil {
		return nil, err
	}
	begin()
	first := floor.done
	var failure error
	elapsed, cpu, err := during(func() { failure = floor.run(t.For, iterate) })
	if t.Interval > 0 {
		return total(elapsed, cpu, floor.failed), errors.Join(err, failure)
	}
	return perProbe(floor.done-first, floor.failed, elapsed, cpu), errors.Join(err, failure)
}

func (f *epollFloor) run(length time.Duration, iterate func() error) error {
	for end := time.Now().Add(length); time.Now().Before(end); {
		if err := iterate(); err != nil {
			return err
		}
	}
	return nil
}

// saturate keeps as many probes under way as there are workers elsewhere.
func (f *epollFloor) saturate() error {
	for len(f.probing) < workers {
		if err := f.start(); err != nil {
			return err
		}
	}
	return f.wait(100)
}

// startDue starts what has become due since start, and then waits out the tick.
func (f *epollFloor) startDue(rate float64, start time.Time) error {
	for float64(f.done)+float64(len(f.probing)) < rate*time.Since(start).Seconds() {
		if err := f.start(); err != nil {
			return err
		}
	}
	for end := time.Now().Add(epollTick); ; {
		left := time.Until(end)
		if left < time.Millisecond {
			return nil
		}
		if err := f.wait(int(left.Milliseconds())); err != nil {
			return err
		}
	}
}

func (f *epollFloor) start() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	index := f.next % len(f.targets)
	f.next++
	f.probing[int32(socket)] = index
	target := &f.targets[index]
	_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(socket), uintptr(unsafe.Pointer(&target.address)), syscall.SizeofSockaddrInet4)
	if errno != 0 && errno != syscall.EINPROGRESS {
		f.finish(int32(socket), false)
		return nil
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLOUT | syscall.EPOLLONESHOT, Fd: int32(socket)}
	return syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_ADD, socket, &event)
}

func (f *epollFloor) wait(milliseconds int) error {
	var events [256]syscall.EpollEvent
	n, err := syscall.EpollWait(f.epoll, events[:], milliseconds)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return err
	}
	for i := range max(n, 0) {
		if err := f.advance(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

// advance writes the request once the connection stands, and reads what comes then.
func (f *epollFloor) advance(event *syscall.EpollEvent) error {
	socket := event.Fd
	if event.Events&syscall.EPOLLOUT != 0 {
		if _, err := syscall.Write(int(socket), f.targets[f.probing[socket]].request); err != nil {
			f.finish(socket, false)
			return nil
		}
		event.Events = syscall.EPOLLIN | syscall.EPOLLONESHOT
		return syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_MOD, int(socket), event)
	}
	var answer [512]byte
	n, err := syscall.Read(int(socket), answer[:])
	f.finish(socket, err == nil && n > 12 && answer[9] == '2')
	return nil
}

func (f *epollFloor) finish(socket int32, well bool) {
	_ = syscall.Close(int(socket))
	delete(f.probing, socket)
	f.done++
	if !well {
		f.failed++
	}
}

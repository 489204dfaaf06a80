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
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"farpoint.dev/farpoint/test/bench/targets"
)

// measureBlockingFloor makes HTTP probes of nothing but blocking system calls: socket,
// connect, write, read, close, each in the threads of workers. It is what a probe costs
// the kernel, without timeouts, without anything that is looked at, and without Go: the
// raw calls bypass the runtime's scheduler, which gets a processor for each thread so that
// none is missing, no garbage to collect, and (see measure) no signal to send.
func measureBlockingFloor(t task, begin func()) (figures, error) {
	runtime.GOMAXPROCS(workers + 2)
	debug.SetGCPercent(-1)
	var done, failed atomic.Int64
	for worker := range workers {
		targets := make([]floorTarget, 0, t.Targets/workers+1)
		for index := worker; index < t.Targets; index += workers {
			targets = append(targets, t.floorTarget(index))
		}
		// They have no end: the process ends with them under way.
		go func() {
			runtime.LockOSThread()
			for i := 0; ; i++ {
				if !targets[i%len(targets)].probeBlocking() {
					failed.Add(1)
				}
				done.Add(1)
			}
		}()
	}
	time.Sleep(t.Warm)
	begin()
	first := done.Load()
	elapsed, cpu, err := during(func() { time.Sleep(t.For) })
	return perProbe(done.Load()-first, failed.Load(), elapsed, cpu), err
}

// floorTarget is where a floor's probe goes, and what it sends there.
type floorTarget struct {
	address syscall.RawSockaddrInet4
	request []byte
}

func (t task) floorTarget(index int) floorTarget {
	port := uint16(t.Places.HTTP)
	return floorTarget{
		address: syscall.RawSockaddrInet4{
			Family: syscall.AF_INET,
			Port:   port<<8 | port>>8, // big endian
			Addr:   [4]byte{127, byte(1 + index>>16), byte(index >> 8), byte(index)},
		},
		request: fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: farpoint/1\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			index, targets.Address(index), port),
	}
}

// probeBlocking looks at the first byte of the status only.
func (p *floorTarget) probeBlocking() bool {
	socket, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return false
	}
	var answer [512]byte
	n, errno := p.exchangeBlocking(socket, answer[:])
	_, _, closing := syscall.RawSyscall(syscall.SYS_CLOSE, socket, 0, 0)
	return errno == 0 && closing == 0 && n > 12 && answer[9] == '2'
}

func (p *floorTarget) exchangeBlocking(socket uintptr, answer []byte) (n uintptr, errno syscall.Errno) {
	if _, _, errno = syscall.RawSyscall(syscall.SYS_CONNECT, socket, uintptr(unsafe.Pointer(&p.address)), syscall.SizeofSockaddrInet4); errno != 0 {
		return 0, errno
	}
	if _, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, socket, uintptr(unsafe.Pointer(&p.request[0])), uintptr(len(p.request))); errno != 0 {
		return 0, errno
	}
	n, _, errno = syscall.RawSyscall(syscall.SYS_READ, socket, uintptr(unsafe.Pointer(&answer[0])), uintptr(len(answer)))
	return n, errno
}

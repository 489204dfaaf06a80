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
	"errors"
	"syscall"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// maxLingering is how many connections the loop keeps after their verdicts. It closes further ones
// at once, whatever their endpoints are about to send.
const maxLingering = 1024

// lingering is a connection whose probe has ended.
type lingering struct {
	// left is how many bytes are still read, until a time.
	left  int
	until time.Duration
}

// leave ends a probe with a result, and closes its connection as a well-behaved client does.
func (l *loop) leave(fd int, t exchange, result probes.Result, ending transport.Ending) {
	delete(l.exchanges, fd)
	if ending.ClosesFirst {
		_ = syscall.Shutdown(fd, syscall.SHUT_WR)
	}
	rest := lingering{ending.Bytes(), l.scheduler.now() + transport.MaxLinger}
	// The endpoint's FIN, and all data before it, cause events. Data that was announced may have
	// arrived already.
	if !ending.Needed() || len(l.lingering) >= maxLingering || !ending.ClosesFirst && l.discard(fd, &rest) {
		syscall.Close(fd)
	} else {
		l.lingering[fd] = rest
		l.expires = min(l.expires, tickAfter(rest.until))
	}
	l.scheduler.finish(t.probe, result)
}

// linger handles an event of a connection whose probe has ended.
func (l *loop) linger(fd int) {
	rest, ok := l.lingering[fd]
	switch {
	case !ok:
	case l.discard(fd, &rest):
		l.forget(fd)
	default:
		l.lingering[fd] = rest
	}
}

// discard reads what has arrived, and reports whether the connection is done.
func (l *loop) discard(fd int, rest *lingering) (all bool) {
	for rest.left > 0 {
		n, err := syscall.Read(fd, l.buffer[:min(rest.left, len(l.buffer))])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil || n == 0:
			return true
		}
		rest.left -= n
	}
	return true
}

// endLingering closes the connections that have lingered long enough.
func (l *loop) endLingering(now time.Duration) {
	for fd, rest := range l.lingering {
		if rest.until > now {
			l.expires = min(l.expires, tickAfter(rest.until))
			continue
		}
		l.discard(fd, &rest) // a banner may have come without a FIN
		l.forget(fd)
	}
}

func (l *loop) forget(fd int) {
	delete(l.lingering, fd)
	syscall.Close(fd)
}

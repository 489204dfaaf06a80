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
	"errors"
	"io"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/overload"
	"farpoint.dev/farpoint/probes/socket"
	"farpoint.dev/farpoint/probes/transport"
)

// exchange is a probe under way.
type exchange struct {
	*probe
	transport.LoopProber
	// requestSent: the request has been sent in full.
	requestSent bool
	// deadline is when the endpoint has had its timeout. The time that a connection waits
	// for the loop to send its request does not count.
	deadline time.Duration
}

// to is where the probe connects.
func (t exchange) to() netip.AddrPort {
	to, _ := t.Address() // it was admitted when the probe began
	return to
}

// advance goes on with a probe after something happened to its socket. since is when the loop
// last looked and nothing had happened.
func (l *loop) advance(ctx context.Context, fd int, t exchange, events uint32, since time.Duration) {
	now := l.scheduler.now()
	if !t.requestSent && now-since > overload.LateSlack {
		l.scheduler.options.Metrics.late[lateExchange].Inc()
	}
	switch {
	case t.requestSent:
		l.listen(ctx, fd, t, nil)
	case now >= t.deadline && len(t.Request()) > 0 && events&(syscall.EPOLLERR|syscall.EPOLLHUP) == 0:
		l.end(fd, t, l.missed(since, now))
	default:
		// What the connection has waited for is not the endpoint's time.
		t.deadline += now - since
		l.ask(ctx, fd, t, events)
	}
}

// missed is the result of a probe whose connection stands only after its deadline, as far as
// the loop can tell: it has last looked when there was none.
func (l *loop) missed(since, now time.Duration) probes.Result {
	if now-since > overload.LateSlack {
		return probes.UnknownResult(probes.ReasonCrowded)
	}
	return probes.FailureResult(probes.ReasonTimeout)
}

// ask sends the request, on a connection that stands or has failed.
func (l *loop) ask(ctx context.Context, fd int, t exchange, events uint32) {
	if events&syscall.EPOLLERR != 0 {
		if err := socket.ConnectError(fd, t.to()); err != nil {
			// An endpoint may answer and close before it has read the request.
			l.listen(ctx, fd, t, err)
			return
		}
	}
	request := t.Request()
	n, err := write(fd, request, events)
	switch {
	case err == nil && n < len(request):
		l.promote(ctx, fd, t, request[n:], nil)
	case err != nil:
		// An endpoint may answer and close before it has read the request.
		l.listen(ctx, fd, t, err)
	case t.ReadsResponse():
		t.requestSent, t.accepted = true, true
		l.keep(fd, t)
		if events&^syscall.EPOLLOUT != 0 {
			l.listen(ctx, fd, t, nil)
		}
	default:
		l.leave(fd, t, probes.SuccessResult(), transport.CloseAfterResponse)
	}
}

// write writes what the kernel takes, or finds what has become of the connection if there
// is nothing to write.
func write(fd int, request []byte, events uint32) (n int, err error) {
	switch {
	case len(request) > 0:
		n, err = syscall.Write(fd, request)
	case events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0:
		var failed int
		if failed, err = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); failed != 0 {
			err = syscall.Errno(failed)
		}
	}
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil
	}
	return max(n, 0), err
}

// listen takes what has come of the answer. failed is why the request could not be sent.
func (l *loop) listen(ctx context.Context, fd int, t exchange, failed error) {
	count, err := 0, failed
	if t.ReadsResponse() {
		count, err = syscall.Read(fd, l.buffer[:])
	}
	switch {
	case count > 0:
		l.evaluate(ctx, fd, t, l.buffer[:count])
		return
	case failed != nil:
		err = failed
	case err == nil:
		err = io.EOF
	case errors.Is(err, syscall.EAGAIN):
		return // there was other news than an answer
	}
	l.end(fd, t, transport.Classify(ctx, socket.AttributeError(fd, true, t.to().Addr(), err)))
}

// evaluate makes a result of the answer, if it is all here.
func (l *loop) evaluate(ctx context.Context, fd int, t exchange, heard []byte) {
	var (
		how transport.Ending
		err error
	)
	result := l.scheduler.guarded(func() (result probes.Result) {
		l.part.Received = heard
		result, how, err = t.ParseResponse(&l.part)
		return result
	})
	switch {
	case errors.Is(err, transport.ErrIncomplete):
		l.promote(ctx, fd, t, nil, slices.Clone(heard))
	case err != nil:
		l.end(fd, t, transport.Classify(ctx, err))
	default:
		l.leave(fd, t, result, how)
	}
}

// promote has a goroutine make the rest of a probe.
func (l *loop) promote(ctx context.Context, fd int, t exchange, unsaid, heard []byte) {
	_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, fd, nil)
	delete(l.talks, fd)
	// What has arrived is read, however late it is.
	left := max(t.deadline-l.scheduler.now(), overload.LateSlack)
	l.scheduler.dispatchRest(ctx, t.probe, left, func(ctx context.Context) probes.Result {
		to, _ := t.Address()
		return transport.ResumeProbe(ctx, t.LoopProber, socket.Of(fd, to), unsaid, heard)
	})
}

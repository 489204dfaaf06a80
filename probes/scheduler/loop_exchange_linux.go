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
	// deadline is when the endpoint's timeout is over. The time that an established connection
	// waits for the loop does not count.
	deadline time.Duration
}

// to returns where the probe connects to.
func (t exchange) to() netip.AddrPort {
	to, _ := t.Address() // it was admitted when the probe began
	return to
}

// advance handles an event of a probe's socket. since is when the loop last looked and there was
// none.
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
		// The time that the connection has waited for the loop is not the endpoint's.
		t.deadline += now - since
		l.ask(ctx, fd, t, events)
	}
}

// missed returns the result of a probe whose connection was established after its deadline, as far
// as the loop knows: at since there was none yet.
func (l *loop) missed(since, now time.Duration) probes.Result {
	if now-since > overload.LateSlack {
		return probes.UnknownResult(probes.ReasonCrowded)
	}
	return probes.FailureResult(probes.ReasonTimeout)
}

// ask sends the request, on a connection that is established or has failed.
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

// write writes as much as the kernel takes, or reads the state of the connection if there is nothing
// to write.
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

// listen reads what has arrived of the response. failed is why the request could not be sent.
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
		return // the event was not a response
	}
	l.end(fd, t, transport.Classify(ctx, socket.AttributeError(fd, true, t.to().Addr(), err)))
}

// evaluate turns the response into a result, if it is complete.
func (l *loop) evaluate(ctx context.Context, fd int, t exchange, received []byte) {
	var (
		ending transport.Ending
		err    error
	)
	result := l.scheduler.guarded(func() (result probes.Result) {
		l.partial.Received = received
		result, ending, err = t.ParseResponse(&l.partial)
		return result
	})
	switch {
	case errors.Is(err, transport.ErrIncomplete):
		l.promote(ctx, fd, t, nil, slices.Clone(received))
	case err != nil:
		l.end(fd, t, transport.Classify(ctx, err))
	default:
		l.leave(fd, t, result, ending)
	}
}

// promote hands the rest of a probe to a goroutine.
func (l *loop) promote(ctx context.Context, fd int, t exchange, unsent, received []byte) {
	_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, fd, nil)
	delete(l.exchanges, fd)
	// Data that has arrived is read, however late.
	left := max(t.deadline-l.scheduler.now(), overload.LateSlack)
	l.scheduler.dispatchRest(ctx, t.probe, left, func(ctx context.Context) probes.Result {
		to, _ := t.Address()
		return transport.ResumeProbe(ctx, t.LoopProber, socket.Of(fd, to), unsent, received)
	})
}

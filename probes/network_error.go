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

import "syscall"

// networkError is an errno of a socket together with who caused it.
//
// What connect() returns at once comes from this host, since no packet has been answered
// yet: no route here, no permission, no port. What comes later comes from whoever sent the
// ICMP message that the kernel keeps in the socket's error queue, see attribute.
type networkError struct {
	errno syscall.Errno
	// local reports whether the operator's own host caused the error.
	local bool
}

func (e *networkError) Error() string { return e.errno.Error() }

func (e *networkError) Unwrap() error { return e.errno }

// probeResult is the probe's result: an error of our own host says nothing about the endpoint, and
// any error from elsewhere means that nobody reaches the endpoint.
func (e *networkError) probeResult() Result {
	known, ok := errnoResults[e.errno]
	switch {
	case e.local && ok && known.Reason == ReasonLocalResources:
		return known
	case e.local:
		return UnknownResult(ReasonNetworkUnreachable)
	case ok && known.Outcome == Failure:
		return known
	}
	return FailureResult(ReasonHostUnreachable)
}

// errnoResults are the results of errnos that come without a [networkError]: those that can
// come from one side only, and on systems other than Linux all of them, where the kernel does
// not say which host caused an error.
var errnoResults = map[syscall.Errno]Result{
	syscall.ECONNREFUSED: FailureResult(ReasonConnectionRefused),
	syscall.ECONNRESET:   FailureResult(ReasonConnectionClosed),
	syscall.ECONNABORTED: FailureResult(ReasonConnectionClosed),
	syscall.EPIPE:        FailureResult(ReasonConnectionClosed),
	syscall.ENOTCONN:     FailureResult(ReasonConnectionClosed),
	syscall.ETIMEDOUT:    FailureResult(ReasonTimeout),
	syscall.EHOSTUNREACH: FailureResult(ReasonHostUnreachable),
	syscall.EHOSTDOWN:    FailureResult(ReasonHostUnreachable),

	syscall.EMFILE:        UnknownResult(ReasonLocalResources),
	syscall.ENFILE:        UnknownResult(ReasonLocalResources),
	syscall.EADDRNOTAVAIL: UnknownResult(ReasonLocalResources), // no port left
	syscall.EADDRINUSE:    UnknownResult(ReasonLocalResources),
	syscall.EAGAIN:        UnknownResult(ReasonLocalResources), // no routing cache entry
	syscall.ENOBUFS:       UnknownResult(ReasonLocalResources),
	syscall.ENOMEM:        UnknownResult(ReasonLocalResources),

	syscall.ENETUNREACH:  UnknownResult(ReasonNetworkUnreachable),
	syscall.ENETDOWN:     UnknownResult(ReasonNetworkUnreachable),
	syscall.EAFNOSUPPORT: UnknownResult(ReasonNetworkUnreachable), // a host without IPv6
	syscall.EPERM:        UnknownResult(ReasonNetworkUnreachable), // a firewall on this host
	syscall.EACCES:       UnknownResult(ReasonNetworkUnreachable),
}

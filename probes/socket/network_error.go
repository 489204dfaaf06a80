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

package socket

import (
	"syscall"

	"farpoint.dev/farpoint/probes"
)

// Error is an errno of a socket together with who caused it.
//
// What connect() returns at once comes from this host, since no packet has been answered yet:
// no route here, no permission, no port. What comes later comes from the sender of the ICMP
// message that the kernel keeps in the socket's error queue, see attribute.
type Error struct {
	Errno syscall.Errno
	// Local reports whether the operator's own host caused the error.
	Local bool
}

func (e *Error) Error() string { return e.Errno.Error() }

func (e *Error) Unwrap() error { return e.Errno }

// ProbeResult is the probe's result: an error of our own host says nothing about the endpoint, and
// any error from elsewhere means that nobody reaches the endpoint.
func (e *Error) ProbeResult() probes.Result {
	known, ok := ErrnoResults[e.Errno]
	switch {
	case e.Local && ok && known.Reason == probes.ReasonLocalResources:
		return known
	case e.Local:
		return probes.UnknownResult(probes.ReasonNetworkUnreachable)
	case ok && known.Outcome == probes.Failure:
		return known
	}
	return probes.FailureResult(probes.ReasonHostUnreachable)
}

// ErrnoResults are the results of errnos without an [Error]: those that only one side can cause,
// and all of them on systems other than Linux, where the kernel does not report which host caused
// an error.
var ErrnoResults = map[syscall.Errno]probes.Result{
	syscall.ECONNREFUSED: probes.FailureResult(probes.ReasonConnectionRefused),
	syscall.ECONNRESET:   probes.FailureResult(probes.ReasonConnectionClosed),
	syscall.ECONNABORTED: probes.FailureResult(probes.ReasonConnectionClosed),
	syscall.EPIPE:        probes.FailureResult(probes.ReasonConnectionClosed),
	syscall.ENOTCONN:     probes.FailureResult(probes.ReasonConnectionClosed),
	syscall.ETIMEDOUT:    probes.FailureResult(probes.ReasonTimeout),
	syscall.EHOSTUNREACH: probes.FailureResult(probes.ReasonHostUnreachable),
	syscall.EHOSTDOWN:    probes.FailureResult(probes.ReasonHostUnreachable),

	syscall.EMFILE:        probes.UnknownResult(probes.ReasonLocalResources),
	syscall.ENFILE:        probes.UnknownResult(probes.ReasonLocalResources),
	syscall.EADDRNOTAVAIL: probes.UnknownResult(probes.ReasonLocalResources), // no port left
	syscall.EADDRINUSE:    probes.UnknownResult(probes.ReasonLocalResources),
	syscall.EAGAIN:        probes.UnknownResult(probes.ReasonLocalResources), // no routing cache entry
	syscall.ENOBUFS:       probes.UnknownResult(probes.ReasonLocalResources),
	syscall.ENOMEM:        probes.UnknownResult(probes.ReasonLocalResources),

	syscall.ENETUNREACH:  probes.UnknownResult(probes.ReasonNetworkUnreachable),
	syscall.ENETDOWN:     probes.UnknownResult(probes.ReasonNetworkUnreachable),
	syscall.EAFNOSUPPORT: probes.UnknownResult(probes.ReasonNetworkUnreachable), // a host without IPv6
	syscall.EPERM:        probes.UnknownResult(probes.ReasonNetworkUnreachable), // a firewall on this host
	syscall.EACCES:       probes.UnknownResult(probes.ReasonNetworkUnreachable),
}

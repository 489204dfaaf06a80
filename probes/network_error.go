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

// result is the probe's result: an error of our own host says nothing about the endpoint, and
// any error from elsewhere means that nobody reaches the endpoint.
func (e *networkError) result() Result {
	known, ok := errnoResults[e.errno]
	switch {
	case e.local && ok && known.Reason == ReasonLocalResources:
		return known
	case e.local:
		return unknown(ReasonNetworkUnreachable)
	case ok && known.Outcome == Failure:
		return known
	}
	return failure(ReasonHostUnreachable)
}

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

package protocol

import (
	"fmt"
	"regexp"
	"strconv"
)

// DefaultMaxBodyBytes is how much of a response body is read when the settings
// say nothing; MaxBodyBytes is the most that they may say.
const (
	DefaultMaxBodyBytes = 16 << 10
	MaxBodyBytes        = 64 << 10
)

// HTTPSettings are the options of http and https probes.
type HTTPSettings struct {
	// Method is GET when empty.
	Method string
	// Host is the Host header; empty means the host and port of the probe URL.
	Host string
	// Headers are sent in this order. Those that belong to the connection, and those
	// that make a cloud's metadata service answer, are refused.
	Headers []Header
	// ExpectedStatuses are the statuses of a healthy endpoint; empty means 200 to 399.
	ExpectedStatuses []StatusRange
	// DrainStatuses are the statuses of an endpoint that serves and takes no new traffic.
	// None of them may be an expected one.
	DrainStatuses []StatusRange
	// StandbyStatuses are the statuses of an endpoint that works, while another one is to get the
	// traffic. None of them may be an expected one or a drain status.
	StandbyStatuses []StatusRange
	// ExpectedBody must match somewhere in the first MaxBodyBytes of the body; nil
	// means that the body is not looked at.
	ExpectedBody *regexp.Regexp
	// FollowRedirects makes the last response of a chain of redirects the one that
	// counts. Each hop is dialled through the same guard; Host, Headers and the
	// server name are only for the place of the first request. No redirect leads from
	// https to http.
	FollowRedirects bool
	// MaxBodyBytes bounds what is read of a body; 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int
}

// Header is one line of an HTTP request's header.
type Header struct{ Name, Value string }

// StatusRange is a range of HTTP statuses, both ends included.
type StatusRange struct{ First, Last uint16 }

// String is the range as users write it.
func (r StatusRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

func (r StatusRange) holds(status int) bool { return int(r.First) <= status && status <= int(r.Last) }

func (r StatusRange) overlaps(other StatusRange) bool {
	return r.First <= other.Last && other.First <= r.Last
}

// TCPSettings are the options of tcp probes.
type TCPSettings struct {
	// Send is written once the connection stands; empty means nothing.
	Send string
	// Expect must appear in the first 4 KiB that the endpoint sends; empty means that
	// nothing is read.
	Expect string
}

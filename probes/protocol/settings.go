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
	"slices"
	"strconv"
	"strings"
	"time"
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
	// HTTP2 makes all requests of the probe by HTTP/2, and by HTTP/1.1 if it is not set.
	HTTP2 bool
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

// Role is the part of a database server in its replication.
type Role string

// Roles that a probe can ask for; "" asks for none.
const (
	// RolePrimary takes writes.
	RolePrimary Role = "Primary"
	// RoleReplica follows a primary.
	RoleReplica Role = "Replica"
)

// SSLMode says when a probe of a database uses TLS, and how much it verifies.
type SSLMode string

// Modes, by the words of libpq; "" means what healthCheck.tls suggests.
const (
	SSLDisable    SSLMode = "Disable"
	SSLPrefer     SSLMode = "Prefer"
	SSLRequire    SSLMode = "Require"
	SSLVerifyCA   SSLMode = "VerifyCA"
	SSLVerifyFull SSLMode = "VerifyFull"
)

// PostgresSettings are the options of postgres probes.
type PostgresSettings struct {
	// Role is what the server must be; empty if either will do.
	Role Role
	// MaxLag is how far a replica may lag behind; 0 if any lag will do.
	MaxLag time.Duration
	// Query must return true; empty if none is to be made.
	Query   string
	SSLMode SSLMode
}

// MySQLSettings are the options of mysql probes.
type MySQLSettings struct {
	// Role is what the server must be; empty if either will do.
	Role Role
	// MaxLag is how far a replica may lag behind; 0 if any lag will do.
	MaxLag time.Duration
	// SSLMode is one of those that SSLMode lists, except SSLVerifyCA.
	SSLMode SSLMode
}

// RedisSettings are the options of redis and rediss probes.
type RedisSettings struct {
	// Role is what the server must be; empty if either will do.
	Role Role
	// MaxLag is for how long a replica may be without its primary. 0 is no time at all for a
	// server that must be a replica, and any time for others.
	MaxLag time.Duration
}

// checkRole returns an error if a block asks for what cannot be.
func checkRole(block string, role Role, maxLag time.Duration) error {
	switch {
	case role != "" && role != RolePrimary && role != RoleReplica:
		return fmt.Errorf("healthCheck.%s.role is unknown: write Primary or Replica", block)
	case maxLag < 0:
		return fmt.Errorf("healthCheck.%s.maxLag is negative: write a duration such as 30s", block)
	case role == RolePrimary && maxLag != 0:
		return fmt.Errorf("healthCheck.%s has maxLag with role: Primary, which has no lag: remove one of them", block)
	}
	return nil
}

// checkSSLMode returns an error if a block has a mode that is none of these.
func checkSSLMode(block string, mode SSLMode, known ...SSLMode) error {
	if mode == "" || slices.Contains(known, mode) {
		return nil
	}
	var words []string
	for _, one := range known[:len(known)-1] {
		words = append(words, string(one))
	}
	return fmt.Errorf("healthCheck.%s.sslMode is unknown: write %s or %s", block, strings.Join(words, ", "), known[len(known)-1])
}

// GRPCSettings are the options of grpc and grpcs probes.
type GRPCSettings struct {
	// Service is the full name of the service; empty for the server as a whole.
	Service string
	// Authority is the pseudo-header :authority; empty for the host and port of the probe URL.
	Authority string
	// Watch also learns of changes by a stream that is held.
	Watch bool
}

// DNSSettings are the options of dns probes.
type DNSSettings struct {
	// Type is that of the records; empty for A.
	Type string
	// TCP has the query made by TCP only.
	TCP bool
}

// TCPSettings are the options of tcp and tls probes.
type TCPSettings struct {
	// Steps are what is sent and expected once the connection stands.
	Steps []Step
	// StartTLS has a tls probe begin without TLS, and go over to it by a protocol.
	StartTLS StartTLS
}

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
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"farpoint.dev/farpoint/probes/socket"
)

// openEcho returns a socket for echo requests to the address (socket(7), icmp(7),
// ping_group_range).
func openEcho(to netip.Addr) (echoConn, error) {
	protocol := syscall.IPPROTO_ICMP
	if to.Is6() {
		protocol = syscall.IPPROTO_ICMPV6
	}
	conn, err := socket.NewDatagrams(netip.AddrPortFrom(to, 0), protocol)
	var refused *socket.Error
	switch {
	case errors.As(err, &refused):
		return nil, err // connect() says EACCES where a route prohibits
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EPROTONOSUPPORT):
		return nil, fmt.Errorf("%w: %w", errEchoForbidden, err)
	case err != nil:
		return nil, err
	}
	return conn, nil
}

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

package localnet

import (
	"context"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// echoTimeout is how long a gateway on our own link has for an answer.
const echoTimeout = 300 * time.Millisecond

// ping sends a gateway an echo request and waits for the reply. possible is false if the kernel
// does not allow it (net.ipv4.ping_group_range), or if nothing can be sent.
func ping(ctx context.Context, gateway Gateway) (answered, possible bool) {
	network, listen, request, protocol := "udp4", "0.0.0.0", icmp.Message{Type: ipv4.ICMPTypeEcho}, 1
	reply := icmp.Type(ipv4.ICMPTypeEchoReply)
	if gateway.Addr.Is6() {
		network, listen, request, protocol = "udp6", "::", icmp.Message{Type: ipv6.ICMPTypeEchoRequest}, 58
		reply = ipv6.ICMPTypeEchoReply
	}
	conn, err := icmp.ListenPacket(network, listen)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	request.Body = &icmp.Echo{Seq: 1, Data: []byte("farpoint gateway check")}
	packet, err := request.Marshal(nil)
	if err != nil {
		return false, false
	}
	to := &net.UDPAddr{IP: gateway.Addr.AsSlice()}
	if gateway.Addr.IsLinkLocalUnicast() {
		to.Zone = strconv.Itoa(gateway.Interface)
	}
	if _, err := conn.WriteTo(packet, to); err != nil {
		return false, false
	}
	if conn.SetReadDeadline(time.Now().Add(echoTimeout)) != nil { //nolint:forbidigo // a socket knows no other clock
		return false, false
	}
	// The kernel hands over only what is for this socket's own identifier.
	buffer := make([]byte, 256)
	for range maxStrays {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return false, ctx.Err() == nil
		}
		message, err := icmp.ParseMessage(protocol, buffer[:n])
		if sender, ok := from.(*net.UDPAddr); ok && err == nil && message.Type == reply && sender.IP.Equal(to.IP) {
			return true, true
		}
	}
	return false, true
}

// maxStrays bounds how many packets are read that are no answer.
const maxStrays = 16

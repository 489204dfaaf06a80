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
	"context"
	"net"
	"net/url"
	"strings"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// redisPort is the port of Redis.
const redisPort = 6379

// redisProber checks that a Redis server lets the user in, answers PING and, if asked to,
// has a role and keeps up with its master. It speaks the protocol by hand: these are five
// commands, and the usual client is much larger than all of them.
type redisProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	tls    *transport.TLSClient // nil for redis
	// request is all that is sent: the commands do not depend on the replies.
	request []byte
	// logsIn: the request begins with AUTH.
	logsIn bool
	// role is what ROLE must say; empty if either will do.
	role string
	// maxLag is for how long a replica may be without its master. 0 is no time at all for a
	// server that must be a replica, and any time for others.
	maxLag time.Duration
}

// The words of ROLE.
const (
	redisMaster  = "master"
	redisReplica = "slave"
)

// redisRoles maps roles to the words of ROLE.
var redisRoles = map[Role]string{"": "", RolePrimary: redisMaster, RoleReplica: redisReplica}

func newRedisProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def.withDefaultPort(redisPort), u)
	if err == nil {
		err = endsAfterPort(u)
	}
	if err != nil {
		return nil, err
	}
	settings := RedisSettings{}
	if def.Redis != nil {
		settings = *def.Redis
	}
	if err := checkRole("redis", settings.Role, settings.MaxLag); err != nil {
		return nil, err
	}
	user, password, logsIn, err := def.login(u)
	if err != nil {
		return nil, err
	}
	p := &redisProber{dialer: d, to: to, logsIn: logsIn, role: redisRoles[settings.Role], maxLag: settings.MaxLag}
	p.request = p.commands(user, password)
	if u.Scheme == "rediss" {
		if p.tls, err = d.NewTLSClient(def.TLS, to.Host()); err != nil {
			return nil, err
		}
	}
	if password != "" {
		err = def.checkSending(probes.LoginRedisAuth, "redis", p.tls)
	}
	return p, err
}

// asksRole reports whether ROLE is one of the commands.
func (p *redisProber) asksRole() bool { return p.role != "" || p.maxLag != 0 }

// commands are what is sent at once. There is no QUIT: Redis has deprecated it, servers that
// do not know it would have us wait, and the end of the connection says the same.
func (p *redisProber) commands(user, password string) []byte {
	var request []byte
	switch {
	case p.logsIn && user != "":
		request = appendCommand(request, "AUTH", user, password)
	case p.logsIn: // before Redis 6 there were no users
		request = appendCommand(request, "AUTH", password)
	}
	request = appendCommand(request, "PING")
	if p.asksRole() {
		request = appendCommand(request, "ROLE")
	}
	if p.role == redisMaster {
		request = appendHarmlessWrite(request)
	}
	return request
}

func (p *redisProber) Location() probes.Location { return p.to.Location() }

// CertificateExpiry implements tlsInfo.
func (p *redisProber) CertificateExpiry() time.Time { return p.tls.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *redisProber) CPUHeavy() bool { return p.tls != nil }

func (p *redisProber) Scheme() string {
	if p.tls != nil {
		return "rediss"
	}
	return "redis"
}

// Probe implements Prober.
func (p *redisProber) Probe(ctx context.Context) probes.Result {
	err := p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		if p.tls == nil {
			return p.exchange(conn)
		}
		client, err := p.tls.Handshake(ctx, conn)
		if err != nil {
			return err
		}
		err = p.exchange(client)
		_ = client.CloseWrite() // close_notify; it does not matter whether it arrives
		return err
	})
	if err != nil {
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

// exchange sends the commands and reads the replies.
func (p *redisProber) exchange(conn net.Conn) error {
	// A server that is full says so and closes, before it has read the request. If it
	// said nothing, the read fails like the write did.
	_, _ = conn.Write(p.request)
	r := newRESPReader(conn)
	defer r.release()
	if p.logsIn {
		if answer, err := r.read(); err != nil {
			return err
		} else if answer.failed {
			return redisFault(answer.text, probes.ReasonAuthentication)
		}
	}
	if answer, err := r.read(); err != nil {
		return err
	} else if answer.failed {
		return redisFault(answer.text, probes.ReasonServerError)
	} else if answer.text != "PONG" {
		return fault(probes.ReasonProtocol)
	}
	if p.asksRole() {
		return p.checkRole(conn, r)
	}
	return nil
}

// redisFault is what an error reply says about the server, or otherwise if it says
// nothing that is known. By convention its first word is a code.
func redisFault(text string, otherwise probes.Reason) error {
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "LOADING", "MASTERDOWN", "BUSY", "MISCONF", "CLUSTERDOWN":
		return fault(probes.ReasonNotAccepting)
	case "NOAUTH", "WRONGPASS", "DENIED":
		return fault(probes.ReasonAuthentication)
	case "NOPERM":
		if otherwise != probes.ReasonRoleUnknown {
			return fault(probes.ReasonAuthentication)
		}
	}
	if strings.HasPrefix(text, "ERR max number of clients") {
		return fault(probes.ReasonTooManyConnections)
	}
	return fault(otherwise)
}

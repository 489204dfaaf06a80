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
	"crypto/tls"
	"errors"

	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// mysqlPort is the port of MySQL and MariaDB.
const mysqlPort = 3306

// mysqlProber checks that a MySQL or MariaDB server lets the user in, would answer queries
// and, if asked to, has a role and keeps up with its primary. Without a user it only checks
// that the server takes connections, as mysqladmin ping does.
//
// It speaks the protocol by hand. The usual client trusts the server: it panics where a
// packet is too short, leaves a goroutine behind when it does, and takes 16 MiB of memory
// for any packet that claims to need them.
type mysqlProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	tls    *transport.TLSClient // nil for SSLDisable
	// plainToo: SSLPrefer, which takes what the server offers.
	plainToo bool
	fallback plainFallback
	// login is nobody's if it has no user.
	login mysqlLogin
	// role is empty if either will do.
	role Role
	// maxLag is 0 if any lag will do.
	maxLag time.Duration
	lag    sourceLag
}

func newMySQLProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def.withDefaultPort(mysqlPort), u)
	if err != nil {
		return nil, err
	}
	p := &mysqlProber{dialer: d, to: to}
	settings := MySQLSettings{}
	if def.MySQL != nil {
		settings = *def.MySQL
	}
	if err := p.setChecks(def, u, settings); err != nil {
		return nil, err
	}
	return p, p.setTLS(def.TLS, settings.SSLMode)
}

// setChecks takes from the definition what the server must be.
func (p *mysqlProber) setChecks(def Definition, u *url.URL, settings MySQLSettings) error {
	database, err := databaseOf(u)
	if err != nil {
		return err
	}
	user, password, logsIn, err := def.login(u)
	if err != nil {
		return err
	}
	if strings.Contains(user+password+database, "\x00") {
		return errors.New("healthCheckURL or the Secret in healthCheck.credentialsSecretRef has a zero byte, which mysql cannot send: remove it")
	}
	p.login = mysqlLogin{user: user, password: password, database: database}
	p.role, p.maxLag = settings.Role, settings.MaxLag
	if err := checkRole("mysql", p.role, p.maxLag); err != nil {
		return err
	}
	return checkDatabaseLogin(u, user, logsIn, p.role != "" || p.maxLag != 0)
}

// setTLS works out what a mode means. Left out, it is what healthCheck.tls suggests.
func (p *mysqlProber) setTLS(settings *transport.TLSSettings, mode SSLMode) error {
	err := checkSSLMode("mysql", mode, SSLDisable, SSLPrefer, SSLRequire, SSLVerifyFull)
	if err != nil {
		return err
	}
	effective := transport.TLSSettings{}
	if settings != nil {
		effective = *settings
	}
	switch {
	case mode == SSLDisable:
		return nil
	case mode == SSLVerifyFull && effective.InsecureSkipVerify:
		return errors.New("healthCheck.mysql has sslMode: VerifyFull, and healthCheck.tls has insecureSkipVerify: remove one of them")
	case mode == "" && settings == nil:
		mode = SSLPrefer
	}
	p.plainToo = mode == SSLPrefer
	effective.InsecureSkipVerify = effective.InsecureSkipVerify || mode == SSLPrefer || mode == SSLRequire
	p.tls, err = p.dialer.NewTLSClient(&effective, p.to.Host())
	return err
}

func (p *mysqlProber) Location() probes.Location { return p.to.Location() }

// CertificateExpiry implements tlsInfo.
func (p *mysqlProber) CertificateExpiry() time.Time { return p.tls.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *mysqlProber) CPUHeavy() bool { return p.tls != nil }

func (p *mysqlProber) Scheme() string { return "mysql" }

// Probe implements Prober.
func (p *mysqlProber) Probe(ctx context.Context) probes.Result {
	return p.fallback.result(ctx, p.plainToo, p.tls != nil, func(encrypt bool) error { return p.connect(ctx, encrypt) })
}

// connect makes the probe by one connection.
func (p *mysqlProber) connect(ctx context.Context, encrypt bool) error {
	return p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		s := newMySQLSession(conn)
		defer s.release()
		err := p.check(ctx, s, conn, encrypt)
		if client, ok := s.conn.(*tls.Conn); ok {
			_ = client.CloseWrite() // close_notify; it does not matter whether it arrives
		}
		return err
	})
}

// check runs one probe over a connection. Without a user, a refused login is a success: the
// server is at work.
func (p *mysqlProber) check(ctx context.Context, s *mysqlSession, conn transport.Stream, encrypt bool) error {
	err := p.loginAndCheck(ctx, s, conn, encrypt)
	if p.login.user == "" && isRefusal(err) {
		return nil
	}
	return err
}

// loginAndCheck logs in, runs the checks and ends the session.
func (p *mysqlProber) loginAndCheck(ctx context.Context, s *mysqlSession, conn transport.Stream, encrypt bool) error {
	handshake, err := s.readHandshake()
	if err != nil {
		return mysqlFault(err, probes.ReasonServerError)
	}
	login := p.login
	if encrypt {
		if login.secure, err = p.secure(ctx, s, conn, handshake); err != nil {
			return err
		}
	}
	login.verified = login.secure && p.tls.VerifiesServer()
	if login.user == "" {
		// A login that is refused does no harm. Servers block hosts that leave before.
		login.user = "farpoint"
	}
	if err := s.logIn(login, handshake); err != nil {
		return mysqlFault(err, probes.ReasonServerError)
	}
	err = p.examine(s, handshake)
	// The session only has to be ended, and it does not matter whether the server reads that.
	_ = s.command(mysqlQuit, "")
	return err
}

// isRefusal reports whether an error is a working server's refusal of a login.
func isRefusal(err error) bool {
	var reasonErr *probes.ReasonError
	return errors.As(err, &reasonErr) && (reasonErr.Reason == probes.ReasonAuthentication || reasonErr.Reason == probes.ReasonServerError)
}

// secure goes over to TLS if both sides want to, and reports whether they do.
func (p *mysqlProber) secure(ctx context.Context, s *mysqlSession, conn transport.Stream, handshake handshakePacket) (bool, error) {
	offered := handshake.capabilities&mysqlSSL != 0
	switch {
	case !offered && p.plainToo:
		return false, nil
	case !offered:
		return false, fault(probes.ReasonTLSHandshake)
	}
	login := p.login
	login.secure = true
	if err := s.send(login.head(handshake)...); err != nil {
		return false, err
	}
	client, err := p.tls.Handshake(ctx, conn)
	if err != nil {
		return false, err
	}
	return true, s.over(client)
}

// examine finds out whether the server is what it must be.
func (p *mysqlProber) examine(s *mysqlSession, handshake handshakePacket) error {
	variables, err := p.checkAccepting(s)
	if err != nil {
		return err
	}
	if err := p.checkRole(variables, handshake); err != nil || p.maxLag == 0 {
		return err
	}
	now, err := s.serverTime()
	if err != nil {
		return err
	}
	return p.checkLag(s, handshake, now)
}

// checkLag asks for the lag behind all sources of a replica. A server that has none is a
// primary, unless it is to be a replica.
func (p *mysqlProber) checkLag(s *mysqlSession, handshake handshakePacket, now time.Duration) error {
	question := "SHOW REPLICA STATUS"
	if handshake.isMariaDB() {
		question = "SHOW ALL SLAVES STATUS"
	}
	table, err := s.query(question)
	const syntaxError = 1064
	if mysqlErr := (errMySQL{}); errors.As(err, &mysqlErr) && mysqlErr.code == syntaxError { // before MySQL 8.0.22
		table, err = s.query("SHOW SLAVE STATUS")
	}
	if err != nil {
		return mysqlFault(err, probes.ReasonRoleUnknown)
	}
	if len(table.rows) == 0 && p.role == "" {
		return nil
	}
	behind, replicates, err := table.secondsBehind()
	switch {
	case err != nil:
		return err
	case p.lag.observe(now, behind, replicates) > p.maxLag:
		return fault(probes.ReasonLag)
	}
	return nil
}

// secondsBehind is the longest lag behind a source. replicates is false unless all of the
// sources are followed.
func (t mysqlTable) secondsBehind() (behind time.Duration, replicates bool, err error) {
	column := slices.IndexFunc(t.columns, func(name string) bool {
		return name == "Seconds_Behind_Source" || name == "Seconds_Behind_Master"
	})
	if column < 0 {
		return 0, false, fault(probes.ReasonRoleUnknown)
	}
	replicates = len(t.rows) > 0
	for _, row := range t.rows {
		if row[column] == nil {
			replicates = false
			continue
		}
		seconds, err := strconv.ParseUint(*row[column], 10, 32)
		if err != nil {
			return 0, false, fault(probes.ReasonRoleUnknown)
		}
		behind = max(behind, time.Duration(seconds)*time.Second)
	}
	return behind, replicates, nil
}

// sourceLag follows how far a replica lags behind, from one probe to the next. While it
// does not replicate, servers tell of no lag at all; it is then what it was, and the time
// since. Times are those of the server's clock, since 1970.
type sourceLag struct {
	// lag is the last report, at the time toldAt; 0 if nothing was.
	lag, toldAt time.Duration
}

// observe takes a report of the replica into account and returns a bound of its lag.
func (l *sourceLag) observe(now, behind time.Duration, replicates bool) time.Duration {
	switch {
	case replicates:
		l.lag, l.toldAt = behind, now
	case l.toldAt == 0 || now < l.toldAt: // or its clock was set back
		*l = sourceLag{}
		return unknownLag
	}
	return l.lag + now - l.toldAt
}

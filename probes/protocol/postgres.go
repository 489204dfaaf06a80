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
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
	"farpoint.dev/farpoint/probes/transport"
)

// postgresPort is the port of PostgreSQL.
const postgresPort = 5432

// postgresProber checks that a PostgreSQL server lets the user in and, if asked to, has a
// role, keeps up with its primary, and answers a query with true. Without a user it only
// checks that the server takes connections, as pg_isready does.
type postgresProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	// defaults are those of pgconn, of which each probe makes its configuration.
	defaults *pgconn.Config
	tls      *transport.TLSClient // nil for SSLDisable
	// plainToo: SSLPrefer, which takes what the server offers.
	plainToo       bool
	fallback       plainFallback
	user, password string
	// database is the server's default for the user if empty.
	database string
	// role is empty if either will do.
	role Role
	// maxLag is 0 if any lag will do.
	maxLag time.Duration
	lag    replayLag
	// query is empty if none is to be made.
	query string
}

func newPostgresProber(d *transport.Dialer, defaults func() (*pgconn.Config, error), def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def.withDefaultPort(postgresPort), u)
	if err != nil {
		return nil, err
	}
	p := &postgresProber{dialer: d, to: to}
	if p.database, err = databaseOf(u); err != nil {
		return nil, err
	}
	settings := PostgresSettings{}
	if def.Postgres != nil {
		settings = *def.Postgres
	}
	if err := p.setChecks(def, u, settings); err != nil {
		return nil, err
	}
	if err := p.setTLS(def.TLS, settings.SSLMode); err != nil {
		return nil, err
	}
	if p.defaults, err = defaults(); err != nil {
		return nil, errors.New("healthCheckURL: postgres cannot be probed, because the operator's own environment has unusable settings for it:" +
			" remove the variables PG... from its Deployment")
	}
	return p, nil
}

// setChecks takes from the definition what the server must be.
func (p *postgresProber) setChecks(def Definition, u *url.URL, settings PostgresSettings) error {
	user, password, logsIn, err := def.login(u)
	if err != nil {
		return err
	}
	p.user, p.password = user, password
	p.role, p.maxLag, p.query = settings.Role, settings.MaxLag, settings.Query
	if err := checkRole("postgres", p.role, p.maxLag); err != nil {
		return err
	}
	if strings.Contains(p.query, "\x00") {
		return errors.New("healthCheck.postgres.query has a zero byte, which postgres cannot send: remove it")
	}
	return checkDatabaseLogin(u, user, logsIn, p.role != "" || p.maxLag != 0 || p.query != "")
}

// setTLS works out what a mode means (https://www.postgresql.org/docs/current/libpq-ssl.html).
// Left out, it is what healthCheck.tls suggests.
func (p *postgresProber) setTLS(settings *transport.TLSSettings, mode SSLMode) error {
	err := checkSSLMode("postgres", mode, SSLDisable, SSLPrefer, SSLRequire, SSLVerifyCA, SSLVerifyFull)
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
	case (mode == SSLVerifyCA || mode == SSLVerifyFull) && effective.InsecureSkipVerify:
		return fmt.Errorf("healthCheck.postgres has sslMode: %s, and healthCheck.tls has insecureSkipVerify: remove one of them", mode)
	case mode == "" && settings == nil:
		mode = SSLPrefer
	case mode == "":
		mode = SSLVerifyFull
	case mode == SSLRequire && len(effective.CABundle) > 0 && !effective.InsecureSkipVerify:
		mode = SSLVerifyCA // as libpq does
	}
	p.plainToo = mode == SSLPrefer
	effective.InsecureSkipVerify = effective.InsecureSkipVerify || mode == SSLPrefer || mode == SSLRequire
	if p.tls, err = p.dialer.NewTLSClient(&effective, p.to.Host()); err != nil {
		return err
	}
	if mode == SSLVerifyCA {
		p.tls.SkipHostnameVerification()
	}
	return nil
}

// postgresDefaults are the settings of pgconn without what it looks for in the
// environment and in files, which are the operator's and not the user's.
func postgresDefaults() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig("host=localhost port=5432 user=farpoint password=none sslmode=disable target_session_attrs=any" +
		" sslcertmode=disable sslnegotiation=postgres channel_binding=prefer min_protocol_version=3.0 max_protocol_version=3.0 connect_timeout=0")
	if err != nil {
		return nil, err
	}
	config.Fallbacks, config.ValidateConnect, config.ConnectTimeout, config.RequireAuth = nil, nil, 0, ""
	config.KerberosSrvName, config.KerberosSpn = "", ""
	config.RuntimeParams = map[string]string{"application_name": "farpoint"}
	config.MaxProtocolMessageBodyLen = maxDatabaseBytes
	// The name is resolved by the dialer.
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	return config, nil
}

func (p *postgresProber) Location() probes.Location { return p.to.Location() }

// CertificateExpiry implements tlsInfo.
func (p *postgresProber) CertificateExpiry() time.Time { return p.tls.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *postgresProber) CPUHeavy() bool { return p.tls != nil || p.user != "" }

func (p *postgresProber) Scheme() string { return "postgres" }

// Probe implements Prober.
func (p *postgresProber) Probe(ctx context.Context) probes.Result {
	return p.fallback.result(ctx, p.plainToo, p.tls != nil, func(encrypt bool) error { return p.connect(ctx, encrypt) })
}

// connect makes the probe by one connection.
func (p *postgresProber) connect(ctx context.Context, encrypt bool) error {
	return p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		stream, err := p.secure(ctx, conn, encrypt)
		if err != nil {
			return err
		}
		client, encrypted := stream.(*tls.Conn)
		if p.user == "" {
			err = p.checkAccepting(stream)
		} else {
			verified := encrypted && p.tls.VerifiesServer()
			err = cpulimit.ComputeOver(ctx, stream, func(conn net.Conn) error { return p.loginAndCheck(ctx, conn, verified) })
		}
		if encrypted {
			_ = client.CloseWrite() // close_notify; it does not matter whether it arrives
		}
		return err
	})
}

// secure asks the server for TLS, if the connection is to be encrypted.
func (p *postgresProber) secure(ctx context.Context, conn transport.Stream, encrypt bool) (net.Conn, error) {
	plaintext := transport.FixedDeadline{Conn: conn}
	if !encrypt {
		return plaintext, nil
	}
	if _, err := io.WriteString(conn, postgresStartTLS); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	switch {
	case answer[0] == 'S':
		return p.tls.Handshake(ctx, conn)
	case answer[0] == 'N' && p.plainToo:
		return plaintext, nil
	case answer[0] == 'N':
		return nil, fault(probes.ReasonTLSHandshake)
	}
	return nil, fault(probes.ReasonProtocol)
}

// checkAccepting finds out whether the server takes connections: if it wants to know who we are,
// or says that it does not want us, it does.
func (p *postgresProber) checkAccepting(conn net.Conn) error {
	reader := newPostgresReader(conn)
	frontend := pgproto3.NewFrontend(reader, conn)
	frontend.SetMaxBodyLen(maxDatabaseBytes)
	start := &pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters:      map[string]string{"user": "farpoint", "application_name": "farpoint"},
	}
	if p.database != "" {
		start.Parameters["database"] = p.database
	}
	frontend.Send(start)
	if err := frontend.Flush(); err != nil {
		return err
	}
	for {
		message, err := frontend.Receive()
		if err != nil {
			return reader.fault(err, probes.ReasonProtocol)
		}
		switch message := message.(type) {
		case pgproto3.AuthenticationResponseMessage:
			return nil
		case *pgproto3.ErrorResponse:
			if reason := reasonOfSQLState(message.Code, probes.ReasonNone); reason == probes.ReasonNotAccepting || reason == probes.ReasonTooManyConnections {
				return fault(reason)
			}
			return nil
		case *pgproto3.NoticeResponse, *pgproto3.NegotiateProtocolVersion:
		default:
			return fault(probes.ReasonProtocol)
		}
	}
}

// loginAndCheck logs in, runs the checks and ends the session. verified says that the server has
// proved who it is.
func (p *postgresProber) loginAndCheck(ctx context.Context, conn net.Conn, verified bool) error {
	reader := newPostgresReader(nil)
	reader.withholds = p.password != "" && !verified
	config := *p.defaults
	config.User, config.Password, config.Database = p.user, p.password, p.database
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		reader.from = r
		return pgproto3.NewFrontend(reader, w)
	}
	dialAddr := false
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		if dialAddr { // a second connection would be to cancel what went wrong, which ends with this one
			return nil, errOneConnection
		}
		dialAddr = true
		return conn, nil
	}
	// The connection ends with the context by itself.
	session, err := pgconn.ConnectConfig(context.WithoutCancel(ctx), &config)
	switch {
	case err != nil && reader.authRequested:
		return reader.fault(err, probes.ReasonAuthentication)
	case err != nil:
		return reader.fault(err, probes.ReasonProtocol)
	}
	err = p.examine(ctx, session, reader)
	if !session.IsClosed() {
		// The session only has to be ended, and it does not matter whether the server reads that.
		session.Frontend().Send(&pgproto3.Terminate{})
		_ = session.Frontend().Flush()
	}
	return err
}

var errOneConnection = errors.New("a probe makes one connection")

//go:build linux

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

package scale

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// cluster is an API server with its etcd on the loopback, and no nodes. Its etcd does not
// wait for the disk, as envtest has it.
type cluster struct {
	environment *envtest.Environment
	client      client.WithWatch
	rest        rest.Interface
	kubeconfig  string
}

// startCluster keeps the cluster's files in the folder. What has started is to be stopped
// also after an error.
func startCluster(folder string) (*cluster, error) {
	ctrl.SetLogger(logr.Discard())
	c := &cluster{kubeconfig: filepath.Join(folder, "kubeconfig"), environment: &envtest.Environment{
		CRDDirectoryPaths:        []string{"config/crd/bases"},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  20 * time.Second,
	}}
	config, err := c.environment.Start()
	if err != nil {
		return c, fmt.Errorf("start the control plane, which `make bench` builds: %w", err)
	}
	config.QPS = -1
	if err := os.WriteFile(c.kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return c, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), farpointv1.AddToScheme(scheme)); err != nil {
		return c, err
	}
	if c.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return c, err
	}
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = clientgoscheme.Codecs
	c.rest, err = rest.UnversionedRESTClientFor(config)
	return c, err
}

func (c *cluster) stop() error { return c.environment.Stop() }

// writes counts the requests so far that were to change something, by verb and resource.
// Those for leases are left out, and so are those that the API server makes of itself
// under way: they are for resources that the operator has nothing to do with.
func (c *cluster) writes(ctx context.Context) (map[string]float64, error) {
	text, err := c.rest.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	counts := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		labels, value, ok := sample(lines.Text(), "apiserver_request_total")
		if !ok || !isWrite[labels["verb"]] || !isOperators[labels["resource"]] {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, err
		}
		counts[strings.TrimRight(labels["verb"]+" "+labels["resource"]+"/"+labels["subresource"], "/")] += count
	}
	return counts, lines.Err()
}

var (
	isWrite     = map[string]bool{"POST": true, "PUT": true, "PATCH": true, "APPLY": true, "DELETE": true, "DELETECOLLECTION": true}
	isOperators = map[string]bool{"endpointslices": true, "externalservices": true, "services": true, "events": true, "endpoints": true}
)

// sample takes apart a line such as name{label="value",...} 1 of Prometheus' text format.
// None of the labels' values hold a comma or a quote.
func sample(line, name string) (labels map[string]string, value string, ok bool) {
	rest, ok := strings.CutPrefix(line, name+"{")
	if !ok {
		return nil, "", false
	}
	list, value, ok := strings.Cut(rest, "} ")
	labels = map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		key, text, _ := strings.Cut(pair, "=")
		labels[key] = strings.Trim(text, `"`)
	}
	return labels, value, ok
}

// difference is what has been added.
func difference(before, after map[string]float64) (more map[string]float64, total float64) {
	more = map[string]float64{}
	for key, count := range after {
		if added := count - before[key]; added > 0 {
			more[key] = added
			total += added
		}
	}
	return more, total
}

// quiet waits until nothing has been written for a few seconds.
func (c *cluster) quiet(ctx context.Context, longest time.Duration) error {
	const enough = 4
	before, err := c.writes(ctx)
	for end, still := time.Now().Add(longest), 0; err == nil && still < enough; {
		if time.Now().After(end) {
			return errors.New("the operator does not stop writing")
		}
		if err = pause(ctx, time.Second); err != nil {
			break
		}
		var after map[string]float64
		if after, err = c.writes(ctx); err != nil {
			break
		}
		still++
		if _, total := difference(before, after); total > 0 {
			still = 0
		}
		before = after
	}
	return err
}

// pause waits, unless the bench is to end.
func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}

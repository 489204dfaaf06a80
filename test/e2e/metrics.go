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

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are the metrics of a replica, by name.
type Metrics map[string]*dto.MetricFamily

// Sum adds up the samples of a counter or a gauge; 0 if there is none.
func (m Metrics) Sum(name string) float64 {
	sum := 0.0
	for _, sample := range m[name].GetMetric() {
		sum += sample.GetGauge().GetValue() + sample.GetCounter().GetValue() + sample.GetUntyped().GetValue()
	}
	return sum
}

// Labelled counts the samples that have a label.
func (m Metrics) Labelled(name string) int {
	count := 0
	for _, family := range m {
		for _, sample := range family.GetMetric() {
			for _, label := range sample.GetLabel() {
				if label.GetName() == name {
					count++
				}
			}
		}
	}
	return count
}

// Metrics scrapes the operator, as Prometheus does with the right to read metrics.
func (o *Operator) Metrics(ctx context.Context) (Metrics, error) {
	token, err := o.cluster.metricsToken(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The operator's certificate is self-signed.
	insecure := &tls.Config{InsecureSkipVerify: true, RootCAs: x509.NewCertPool()} //nolint:gosec // see above
	transport := &http.Transport{DialContext: o.Pod.DialContext, DisableKeepAlives: true, TLSClientConfig: insecure}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(o.Pod.Address.String(), "8443")+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the operator answers %s when it is asked for metrics", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(response.Body)
}

// metricsToken returns the token of a ServiceAccount that may read metrics.
func (c *Cluster) metricsToken(ctx context.Context) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "e2e-metrics"}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: metricsReader},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
	for _, object := range []client.Object{account, binding} {
		if err := client.IgnoreAlreadyExists(c.Client.Create(ctx, object)); err != nil {
			return "", err
		}
	}
	request := &authenticationv1.TokenRequest{}
	err := c.Client.SubResource("token").Create(ctx, account, request)
	return request.Status.Token, err
}

// metricsReader is the role for those who may read metrics; see config/rbac.
const metricsReader = "farpoint-metrics-reader"

package cni

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

func TestForwards(t *testing.T) {
	web := pod.HostPort{HostPort: 80, ContainerPort: 8080, Protocol: corev1.ProtocolTCP}
	dns := pod.HostPort{HostIP: "192.0.2.1", HostPort: 53, ContainerPort: 5353, Protocol: corev1.ProtocolUDP}
	on := func(p pod.HostPort, ip string) pod.HostPort { p.HostIP = ip; return p }
	for name, test := range map[string]struct {
		recs map[types.UID]*record
		want []string
	}{
		"no pods":               {nil, nil},
		"no ports":              {map[types.UID]*record{"a": {IPs: []string{"10.1.0.2"}}}, nil},
		"no address yet":        {map[types.UID]*record{"a": {HostPorts: []pod.HostPort{web}}}, nil},
		"any address":           {map[types.UID]*record{"a": {IPs: []string{"10.1.0.2"}, HostPorts: []pod.HostPort{web}}}, []string{"6 0.0.0.0:80 10.1.0.2:8080"}},
		"the same, said":        {map[types.UID]*record{"a": {IPs: []string{"10.1.0.2"}, HostPorts: []pod.HostPort{on(web, "0.0.0.0")}}}, []string{"6 0.0.0.0:80 10.1.0.2:8080"}},
		"one address":           {map[types.UID]*record{"a": {IPs: []string{"10.1.0.2"}, HostPorts: []pod.HostPort{dns}}}, []string{"17 192.0.2.1:53 10.1.0.2:5353"}},
		"an IPv6 address":       {map[types.UID]*record{"a": {IPs: []string{"10.1.0.2"}, HostPorts: []pod.HostPort{on(web, "::1")}}}, nil},
		"the IPv4 one is taken": {map[types.UID]*record{"a": {IPs: []string{"fd00::2", "10.1.0.2"}, HostPorts: []pod.HostPort{web}}}, []string{"6 0.0.0.0:80 10.1.0.2:8080"}},
		"in the order of uids": {map[types.UID]*record{
			"b": {IPs: []string{"10.1.0.3"}, HostPorts: []pod.HostPort{web}},
			"a": {IPs: []string{"10.1.0.2"}, HostPorts: []pod.HostPort{dns}},
		}, []string{"17 192.0.2.1:53 10.1.0.2:5353", "6 0.0.0.0:80 10.1.0.3:8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range forwards(test.recs) {
				got = append(got, fmt.Sprint(f.proto, " ", f.from, " ", f.to))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("forwards = %q, want %q", got, test.want)
			}
		})
	}
}

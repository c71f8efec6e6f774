package admit

import "strings"

// Support is what podd does about a field.
type Support string

// The kinds of support.
const (
	// Honoured: it does what Kubernetes says.
	Honoured Support = "honoured"
	// Refused: a manifest that sets it is refused, "not supported yet".
	Refused Support = "refused"
	// Meaningless on one node: accepted, with a warning.
	Meaningless Support = "meaningless"
)

// Field is one entry of the table. Its path is that of the JSON, below spec;
// "[]" stands for any index, "{}" for any key that has no entry of its own
// ("{cpu}"). An entry that is not Honoured stands for everything below it as
// well; an honoured one only for itself, so that a field that Kubernetes adds
// is not honoured by accident.
type Field struct {
	Path    string
	Support Support
	// Note is for people: why it has no meaning, or how far it goes.
	Note string
	// Fine are values that are neither refused nor warned of.
	Fine []string
}

// table has the entries by path.
type table map[string]Field

func newTable() table {
	t := table{}
	for _, f := range Fields() {
		t[f.Path] = f
	}
	return t
}

// Fields has an entry for every field of a pod's spec. Init and ephemeral
// containers' are those of containers, and the three probes' those of "probe".
func Fields() []Field {
	fields := []Field{
		{Path: "affinity", Support: Meaningless, Note: "there is one node"},
		{Path: "automountServiceAccountToken", Support: Meaningless, Note: "no token is mounted: there is no control plane to ask for one", Fine: []string{"false"}},
		{Path: "dnsPolicy", Support: Honoured, Note: "there is no cluster DNS: ClusterFirst is Default, as in a kubelet without one"},
		{Path: "enableServiceLinks", Support: Honoured, Note: "there are no Services to link to"},
		{Path: targetPath, Support: Honoured, Note: "ephemeral containers are added to a pod that is there, by `podctl debug` or UpdateEphemeralContainers"},
		{Path: "evictionResponders", Support: Refused},
		{Path: "hostUsers", Support: Refused, Note: "only true", Fine: []string{"true"}},
		{Path: "hostnameOverride", Support: Refused},
		{Path: "nodeName", Support: Honoured, Note: "it must be this node's name"},
		{Path: "nodeSelector", Support: Meaningless, Note: "there is one node"},
		{Path: "os.name", Support: Refused, Note: "only linux", Fine: []string{"linux"}},
		{Path: "overhead", Support: Refused},
		{Path: "preemptionPolicy", Support: Meaningless, Note: "no pod is preempted", Fine: []string{"PreemptLowerPriority"}},
		{Path: "priority", Support: Meaningless, Note: "it orders image pulls alone: no pod is preempted", Fine: []string{"0"}},
		{Path: "priorityClassName", Support: Meaningless, Note: "it orders image pulls alone: no pod is preempted"},
		{Path: "resourceClaims", Support: Refused},
		{Path: "resources", Support: Refused, Note: "only those of containers"},
		{Path: "runtimeClassName", Support: Refused},
		{Path: "schedulerName", Support: Meaningless, Note: "there is no scheduler", Fine: []string{"default-scheduler"}},
		{Path: "schedulingGates", Support: Refused},
		{Path: "schedulingGroup", Support: Refused},
		{Path: "securityContext.seLinuxChangePolicy", Support: Refused},
		{Path: "securityContext.seLinuxOptions", Support: Refused},
		{Path: "securityContext.supplementalGroupsPolicy", Support: Refused, Note: "only Merge", Fine: []string{"Merge"}},
		{Path: "securityContext.windowsOptions", Support: Refused},
		{Path: "serviceAccount", Support: Meaningless, Note: "there are no service accounts, and no token is mounted", Fine: []string{"default"}},
		{Path: "serviceAccountName", Support: Meaningless, Note: "there are no service accounts, and no token is mounted", Fine: []string{"default"}},
		{Path: "tolerations", Support: Meaningless, Note: "the node has no taints"},
		{Path: "topologySpreadConstraints", Support: Meaningless, Note: "there is one node"},
		{Path: "containers[].env[].valueFrom.fileKeyRef", Support: Refused},
		{Path: "containers[].lifecycle.postStart.httpGet.protocol", Support: Refused, Fine: []string{"HTTP1"}},
		{Path: "containers[].lifecycle.postStart.tcpSocket", Support: Meaningless, Note: "such a hook fails, as with a kubelet"},
		{Path: "containers[].lifecycle.preStop.httpGet.protocol", Support: Refused, Fine: []string{"HTTP1"}},
		{Path: "containers[].lifecycle.preStop.tcpSocket", Support: Meaningless, Note: "such a hook fails, as with a kubelet"},
		{Path: "containers[].resizePolicy[].restartPolicy", Support: Refused, Fine: []string{"NotRequired"}},
		{Path: "containers[].resources.claims", Support: Refused},
		{Path: "containers[].resources.limits{}", Support: Refused, Note: "only cpu and memory"},
		{Path: "containers[].resources.requests{}", Support: Refused, Note: "only cpu and memory"},
		{Path: "containers[].securityContext.seLinuxOptions", Support: Refused},
		{Path: "containers[].securityContext.windowsOptions", Support: Refused},
		{Path: "containers[].volumeDevices", Support: Refused},
		{Path: "containers[].volumeMounts[].bindMountOptions", Support: Refused},
		{Path: "probe.grpc.mode", Support: Refused, Note: "only Plaintext", Fine: []string{"Plaintext"}},
		{Path: "probe.httpGet.protocol", Support: Refused, Fine: []string{"HTTP1"}},
		{Path: "volumes[].configMap.defaultUser", Support: Refused},
		{Path: "volumes[].configMap.items[].user", Support: Refused},
		{Path: "volumes[].emptyDir.medium", Support: Refused, Note: "only Memory", Fine: []string{"Memory"}},
		{Path: "volumes[].emptyDir.mode", Support: Refused},
		{Path: "volumes[].emptyDir.sizeLimit", Support: Honoured, Note: "enforced for medium Memory only; accepted with a warning for others"},
		{Path: "volumes[].secret.defaultUser", Support: Refused},
		{Path: "volumes[].secret.items[].user", Support: Refused},
	}
	for _, kind := range strings.Fields(otherVolumes) {
		fields = append(fields, Field{Path: "volumes[]." + kind, Support: Refused})
	}
	for _, path := range strings.Fields(honoured) {
		fields = append(fields, Field{Path: path, Support: Honoured})
	}
	return fields
}

const otherVolumes = `
	awsElasticBlockStore azureDisk azureFile cephfs cinder csi downwardAPI ephemeral fc flexVolume flocker
	gcePersistentDisk gitRepo glusterfs image iscsi nfs persistentVolumeClaim photonPersistentDisk
	portworxVolume projected quobyte rbd scaleIO storageos vsphereVolume`

const honoured = `
	activeDeadlineSeconds
	dnsConfig.nameservers[] dnsConfig.options[].name dnsConfig.options[].value dnsConfig.searches[]
	hostAliases[].hostnames[] hostAliases[].ip hostIPC hostNetwork hostPID
	hostname imagePullSecrets[].name readinessGates[].conditionType restartPolicy setHostnameAsFQDN
	shareProcessNamespace subdomain terminationGracePeriodSeconds

	securityContext.appArmorProfile.localhostProfile securityContext.appArmorProfile.type
	securityContext.fsGroup securityContext.fsGroupChangePolicy securityContext.runAsGroup
	securityContext.runAsNonRoot securityContext.runAsUser securityContext.seccompProfile.localhostProfile
	securityContext.seccompProfile.type securityContext.supplementalGroups[]
	securityContext.sysctls[].name securityContext.sysctls[].value

	containers[].lifecycle.postStart.exec.command[] containers[].lifecycle.postStart.httpGet.host
	containers[].lifecycle.postStart.httpGet.httpHeaders[].name
	containers[].lifecycle.postStart.httpGet.httpHeaders[].value
	containers[].lifecycle.postStart.httpGet.path containers[].lifecycle.postStart.httpGet.port
	containers[].lifecycle.postStart.httpGet.scheme containers[].lifecycle.postStart.sleep.seconds
	containers[].lifecycle.preStop.exec.command[] containers[].lifecycle.preStop.httpGet.host
	containers[].lifecycle.preStop.httpGet.httpHeaders[].name
	containers[].lifecycle.preStop.httpGet.httpHeaders[].value
	containers[].lifecycle.preStop.httpGet.path containers[].lifecycle.preStop.httpGet.port
	containers[].lifecycle.preStop.httpGet.scheme containers[].lifecycle.preStop.sleep.seconds
	containers[].lifecycle.stopSignal
	containers[].restartPolicy containers[].restartPolicyRules[].action containers[].restartPolicyRules[].exitCodes.operator
	containers[].restartPolicyRules[].exitCodes.values[]
	containers[].args[] containers[].command[] containers[].image containers[].imagePullPolicy
	containers[].name containers[].stdin containers[].stdinOnce containers[].terminationMessagePath
	containers[].terminationMessagePolicy containers[].tty containers[].workingDir
	containers[].env[].name containers[].env[].value
	containers[].env[].valueFrom.configMapKeyRef.key containers[].env[].valueFrom.configMapKeyRef.name
	containers[].env[].valueFrom.configMapKeyRef.optional
	containers[].env[].valueFrom.fieldRef.apiVersion containers[].env[].valueFrom.fieldRef.fieldPath
	containers[].env[].valueFrom.resourceFieldRef.containerName
	containers[].env[].valueFrom.resourceFieldRef.divisor
	containers[].env[].valueFrom.resourceFieldRef.resource
	containers[].env[].valueFrom.secretKeyRef.key containers[].env[].valueFrom.secretKeyRef.name
	containers[].env[].valueFrom.secretKeyRef.optional
	containers[].envFrom[].configMapRef.name containers[].envFrom[].configMapRef.optional
	containers[].envFrom[].prefix
	containers[].envFrom[].secretRef.name containers[].envFrom[].secretRef.optional
	containers[].ports[].containerPort containers[].ports[].hostIP containers[].ports[].hostPort
	containers[].ports[].name containers[].ports[].protocol
	containers[].resizePolicy[].resourceName
	containers[].resources.limits{cpu} containers[].resources.limits{memory}
	containers[].resources.requests{cpu} containers[].resources.requests{memory}
	containers[].securityContext.allowPrivilegeEscalation
	containers[].securityContext.appArmorProfile.localhostProfile
	containers[].securityContext.appArmorProfile.type
	containers[].securityContext.capabilities.add[] containers[].securityContext.capabilities.drop[]
	containers[].securityContext.privileged containers[].securityContext.procMount
	containers[].securityContext.readOnlyRootFilesystem containers[].securityContext.runAsGroup
	containers[].securityContext.runAsNonRoot containers[].securityContext.runAsUser
	containers[].securityContext.seccompProfile.localhostProfile
	containers[].securityContext.seccompProfile.type
	containers[].volumeMounts[].mountPath containers[].volumeMounts[].mountPropagation
	containers[].volumeMounts[].name containers[].volumeMounts[].readOnly
	containers[].volumeMounts[].recursiveReadOnly containers[].volumeMounts[].subPath
	containers[].volumeMounts[].subPathExpr

	probe.exec.command[] probe.failureThreshold probe.grpc.port probe.grpc.service probe.httpGet.host
	probe.httpGet.httpHeaders[].name probe.httpGet.httpHeaders[].value probe.httpGet.path probe.httpGet.port probe.httpGet.scheme
	probe.initialDelaySeconds probe.periodSeconds probe.successThreshold
	probe.tcpSocket.host probe.tcpSocket.port probe.terminationGracePeriodSeconds probe.timeoutSeconds

	volumes[].name volumes[].configMap.defaultMode volumes[].configMap.items[].key
	volumes[].configMap.items[].mode volumes[].configMap.items[].path volumes[].configMap.name
	volumes[].configMap.optional
	volumes[].hostPath.path volumes[].hostPath.type volumes[].secret.defaultMode
	volumes[].secret.items[].key volumes[].secret.items[].mode volumes[].secret.items[].path
	volumes[].secret.optional volumes[].secret.secretName`

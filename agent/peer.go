package agent

import (
	"context"
	"crypto/tls"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// peerCredentials ask the kernel who is at the other end of a unix socket. Who comes
// over TLS has a certificate, and may do what root may. They encrypt nothing
// themselves. On the server's side only.
type peerCredentials struct {
	credentials.TransportCredentials
}

// peerUser is who calls.
type peerUser struct {
	credentials.CommonAuthInfo
	// trusted is root, podd's own user, and who has a certificate.
	trusted bool
}

// AuthType implements credentials.AuthInfo.
func (peerUser) AuthType() string { return "unix" }

// ServerHandshake implements credentials.TransportCredentials.
func (peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	who := peerUser{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}
	switch conn := conn.(type) {
	case *tls.Conn:
		who.trusted = true // it is asked for one before the first byte comes through
	case *net.UnixConn:
		raw, err := conn.SyscallConn()
		if err != nil {
			return nil, nil, err
		}
		_ = raw.Control(func(fd uintptr) { // what it fails for, the connection does as well
			if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				who.trusted = cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
			}
		})
	}
	return conn, who, nil
}

// Info implements credentials.TransportCredentials.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix"}
}

// Clone implements credentials.TransportCredentials.
func (p peerCredentials) Clone() credentials.TransportCredentials { return p }

// forRoot refuses everybody but root and podd's own user.
func forRoot(ctx context.Context) error {
	p, _ := grpcpeer.FromContext(ctx)
	if p != nil {
		if who, ok := p.AuthInfo.(peerUser); ok && who.trusted {
			return nil
		}
	}
	return status.Error(codes.PermissionDenied, "only root may ask that of podd, or who has a client certificate")
}

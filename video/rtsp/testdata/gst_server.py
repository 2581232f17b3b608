"""A camera that is not ours: GStreamer's RTSP server with digest log-in.

Listens on 127.0.0.1, on the port given or one of the system's choice, and
prints it. Ends when its standard input does.
"""
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

Gst.init(None)
user, password = sys.argv[1:3]

factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25"
    " ! rtph264pay name=pay0 pt=96 config-interval=1"
    " audiotestsrc is-live=true ! audio/x-raw,rate=16000,channels=1"
    " ! voaacenc ! rtpmp4gpay name=pay1 pt=97 )"
)
factory.set_shared(True)

token = GstRtspServer.RTSPToken()
token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
auth = GstRtspServer.RTSPAuth()
auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
auth.add_digest(user, password, token)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("user", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
permissions.add_permission_for_role("user", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
factory.set_permissions(permissions)

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[3] if len(sys.argv) > 3 else "0")
server.set_auth(auth)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)

loop = GLib.MainLoop()


def until_told():
    sys.stdin.read()
    GLib.idle_add(loop.quit)


threading.Thread(target=until_told, daemon=True).start()
print(server.get_bound_port(), flush=True)
loop.run()

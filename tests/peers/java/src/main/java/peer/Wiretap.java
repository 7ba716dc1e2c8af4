package peer;

import io.netty.channel.Channel;
import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelHandler.Sharable;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelPromise;

/** Shows logins, keepalives and closes, which the library handles: it sits behind its codec. */
@Sharable
final class Wiretap extends ChannelDuplexHandler {
    private final Dialect dialect;
    private final Events events;
    private final String side;

    Wiretap(Dialect dialect, Events events, String side) {
        this.dialect = dialect;
        this.events = events;
        this.side = side;
    }

    static String link(Channel channel) {
        return channel.id().asShortText();
    }

    private void look(ChannelHandlerContext ctx, Object pdu) {
        Seen seen = dialect.read(pdu);
        if (seen instanceof Seen.Login login) {
            var fields = Events.fields("side", side, "link", link(ctx.channel()));
            fields.putAll(login.fields());
            events.emit("connect", fields);
        } else if (seen instanceof Seen.LoginAnswer answer) {
            events.emit(
                    "login",
                    "side", side,
                    "link", link(ctx.channel()),
                    "status", answer.status());
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object pdu) {
        look(ctx, pdu);
        if (dialect.read(pdu) instanceof Seen.Other other) {
            events.emit(
                    "other", "side", side, "link", link(ctx.channel()), "pdu", other.pdu());
        }
        ctx.fireChannelRead(pdu);
    }

    @Override
    public void write(ChannelHandlerContext ctx, Object pdu, ChannelPromise promise) {
        look(ctx, pdu);
        ctx.write(pdu, promise);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        events.emit("closed", "side", side, "link", link(ctx.channel()));
        ctx.fireChannelInactive();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        events.emit(
                "error", "side", side, "link", link(ctx.channel()), "text", cause.toString());
        ctx.fireExceptionCaught(cause);
    }
}

package peer;

import com.zx.sms.handler.api.AbstractBusinessHandler;
import com.zx.sms.session.cmpp.SessionState;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler.Sharable;
import io.netty.channel.ChannelHandlerContext;

/** Hands what comes over a logged-in link to the role. */
@Sharable
final class Traffic extends AbstractBusinessHandler {
    private final Dialect dialect;
    private final Role role;

    /** What a gateway or a client does with what it sees. */
    interface Role {
        void up(Channel link);

        void down(Channel link);

        void seen(Channel link, Seen seen);
    }

    Traffic(Dialect dialect, Role role) {
        this.dialect = dialect;
        this.role = role;
    }

    @Override
    public String name() {
        return "traffic";
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
        if (event == SessionState.Connect) {
            role.up(ctx.channel());
        }
        ctx.fireUserEventTriggered(event);
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object pdu) {
        role.seen(ctx.channel(), dialect.read(pdu));
        ctx.fireChannelRead(pdu);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        role.down(ctx.channel());
        ctx.fireChannelInactive();
    }
}

package peer;

import com.zx.sms.BaseMessage;
import com.zx.sms.common.GlobalConstance;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.EndpointEntity.ChannelType;
import com.zx.sms.connect.manager.ClientEndpoint;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** An SP: logs in to a gateway, submits, takes reports and inbound messages. */
final class Client implements Traffic.Role {
    private final Dialect dialect;
    private final Settings settings;
    private final Events events;
    private final Joiner joiner;
    private final List<Channel> links = new ArrayList<>();
    private int turn;

    Client(Dialect dialect, Settings settings, Events events) {
        this.dialect = dialect;
        this.settings = settings;
        this.events = events;
        this.joiner = new Joiner(dialect, events);
    }

    /** Connects; an SGIP client listens first, for the gateway's own connection. */
    void open() throws Exception {
        Traffic traffic = new Traffic(dialect, this);
        if (dialect instanceof Sgip) {
            Dialect.Account back =
                    new Dialect.Account(
                            "listen",
                            settings.text("host"),
                            (int) settings.number("listen"),
                            settings.text("listen-login"),
                            settings.text("listen-password"),
                            settings);
            EndpointEntity listener =
                    dialect.listener(back, new Wiretap(dialect, events, "listen"), traffic);
            InetSocketAddress where = Gateway.listen(listener);
            events.emit("listening", "host", where.getHostString(), "port", where.getPort());
        }
        if (settings.number("port") == 0) {
            return;
        }
        connect(traffic);
    }

    private void connect(Traffic traffic) throws Exception {
        Dialect.Account account =
                new Dialect.Account(
                        "client",
                        settings.text("host"),
                        (int) settings.number("port"),
                        settings.text("login"),
                        settings.text("password"),
                        settings);
        EndpointEntity dialer =
                dialect.dialer(account, false, new Wiretap(dialect, events, "client"), traffic);
        ChannelFuture opened = dialer.getSingletonConnector().open();
        opened.addListener(
                done -> {
                    if (!done.isSuccess()) {
                        events.emit("error", "text", "connecting: " + done.cause().getMessage());
                    }
                });
    }

    /** Connects to a gateway whose port became known after the start. */
    void connect(int port) throws Exception {
        settings.set("port", Integer.toString(port));
        connect(new Traffic(dialect, this));
    }

    @Override
    public void up(Channel link) {
        EndpointEntity entity = link.attr(GlobalConstance.entityPointKey).get();
        if (entity instanceof ClientEndpoint) {
            synchronized (this) {
                links.add(link);
            }
            events.emit("up", "link", Wiretap.link(link));
        }
    }

    @Override
    public synchronized void down(Channel link) {
        links.remove(link);
    }

    @Override
    public void seen(Channel link, Seen seen) {
        if (seen instanceof Seen.SubmitAnswer answer) {
            events.emit(
                    "answer",
                    "sequence", answer.sequence(),
                    "id", answer.id(),
                    "result", answer.result());
        } else if (seen instanceof Seen.Report report) {
            link.writeAndFlush(dialect.take(report.pdu()));
            Map<String, Object> fields = Events.fields("sequence", report.sequence());
            fields.putAll(report.fields());
            events.emit("report", fields);
        } else if (seen instanceof Seen.Part part && !part.submit()) {
            link.writeAndFlush(dialect.take(part.pdu()));
            Map<String, Object> fields =
                    Events.fields(
                            "sequence", part.sequence(), "from", part.from(), "to", part.to());
            fields.putAll(part.fields());
            events.emit("inbound", fields);
            joiner.add(link, part);
        }
    }

    /** Submits one message; its parts all go over one link. */
    void submit(String to, String text) throws Exception {
        Channel link;
        synchronized (this) {
            if (links.isEmpty()) {
                throw new IllegalStateException("not logged in");
            }
            link = links.get(turn++ % links.size());
        }
        BaseMessage message = dialect.submit(settings.text("from"), to, text, settings);
        List<BaseMessage> parts = Joiner.split(link, message);
        for (BaseMessage pdu : parts) {
            Seen.Part part = (Seen.Part) dialect.read(pdu);
            Map<String, Object> fields =
                    Events.fields(
                            "sequence", part.sequence(), "from", part.from(), "to", part.to());
            fields.putAll(part.fields());
            events.emit("submit", fields);
            link.writeAndFlush(pdu);
        }
    }

    synchronized void leave() {
        links.forEach(link -> link.writeAndFlush(dialect.leave()));
    }
}

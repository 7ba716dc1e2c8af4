package peer;

import com.chinamobile.cmos.sms.SgipSmsDcs;
import com.zx.sms.BaseMessage;
import com.zx.sms.codec.sgip12.msg.SgipBindRequestMessage;
import com.zx.sms.codec.sgip12.msg.SgipBindResponseMessage;
import com.zx.sms.codec.sgip12.msg.SgipDefaultMessage;
import com.zx.sms.codec.sgip12.msg.SgipDeliverRequestMessage;
import com.zx.sms.codec.sgip12.msg.SgipDeliverResponseMessage;
import com.zx.sms.codec.sgip12.msg.SgipReportRequestMessage;
import com.zx.sms.codec.sgip12.msg.SgipReportResponseMessage;
import com.zx.sms.codec.sgip12.msg.SgipSubmitRequestMessage;
import com.zx.sms.codec.sgip12.msg.SgipSubmitResponseMessage;
import com.zx.sms.codec.sgip12.msg.SgipUnbindRequestMessage;
import com.zx.sms.common.util.SequenceNumber;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.EndpointEntity.ChannelType;
import com.zx.sms.connect.manager.sgip.SgipClientEndpointConnector;
import com.zx.sms.connect.manager.sgip.SgipClientEndpointEntity;
import com.zx.sms.connect.manager.sgip.SgipEndpointEntity;
import com.zx.sms.connect.manager.sgip.SgipServerChildEndpointEntity;
import com.zx.sms.connect.manager.sgip.SgipServerEndpointConnector;
import com.zx.sms.connect.manager.sgip.SgipServerEndpointEntity;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelPipeline;
import java.util.List;
import java.util.Map;

/** SGIP 1.2: submits on one connection, reports and inbound messages on one the other way. */
final class Sgip implements Dialect {
    private final long node;

    Sgip(long node) {
        this.node = node;
    }

    private void account(SgipEndpointEntity entity, Account account, Traffic traffic) {
        Dialect.configure(entity, account, traffic);
        entity.setLoginName(account.login());
        entity.setLoginPassowrd(account.password());
        entity.setNodeId(node);
    }

    /** A request of ours, with our node at the head of its sequence. */
    private <T extends SgipDefaultMessage> T own(T request) {
        request.getHeader().setNodeId(node);
        return request;
    }

    @Override
    public EndpointEntity listener(Account account, ChannelHandler tap, Traffic traffic) {
        SgipServerEndpointEntity listener =
                new SgipServerEndpointEntity() {
                    @Override
                    protected SgipServerEndpointConnector buildConnector() {
                        return new SgipServerEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }
                };
        Dialect.configure(listener, account, traffic);
        SgipServerChildEndpointEntity child = new SgipServerChildEndpointEntity();
        account(child, account, traffic);
        child.setId(account.name() + "-account");
        child.setChannelType(ChannelType.DOWN);
        listener.addchild(child);
        return listener;
    }

    @Override
    public EndpointEntity dialer(
            Account account, boolean inbound, ChannelHandler tap, Traffic traffic) {
        SgipClientEndpointEntity dialer =
                new SgipClientEndpointEntity() {
                    @Override
                    protected SgipClientEndpointConnector buildConnector() {
                        return new SgipClientEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }
                };
        account(dialer, account, traffic);
        // LoginType 2 is the gateway's to the SP, 1 the SP's to the gateway.
        dialer.setChannelType(inbound ? ChannelType.UP : ChannelType.DOWN);
        return dialer;
    }

    @Override
    public Seen read(Object pdu) {
        if (pdu instanceof SgipBindRequestMessage m) {
            return new Seen.Login(
                    Events.fields("login", m.getLoginName(), "mode", (int) m.getLoginType()));
        }
        if (pdu instanceof SgipBindResponseMessage m) {
            return new Seen.LoginAnswer(m.getResult());
        }
        if (pdu instanceof SgipSubmitRequestMessage m) {
            Map<String, Object> fields = Dialect.content(m);
            fields.putAll(
                    Events.fields(
                            "charge", m.getChargenumber(),
                            "corp", m.getCorpid(),
                            "service", m.getServicetype(),
                            "fee_type", (int) m.getFeetype(),
                            "fee_code", m.getFeevalue(),
                            "more_mt", (int) m.getMorelatetomtflag(),
                            "report_flag", (int) m.getReportflag(),
                            "valid", m.getExpiretime()));
            List<String> to = List.of(m.getUsernumber());
            boolean asked = m.getReportflag() == 1;
            return new Seen.Part(m, true, sequence(m), m.getSpnumber(), to, asked, fields);
        }
        if (pdu instanceof SgipSubmitResponseMessage m) {
            return new Seen.SubmitAnswer(sequence(m), sequence(m), m.getResult());
        }
        if (pdu instanceof SgipDeliverRequestMessage m) {
            Map<String, Object> fields = Dialect.content(m);
            List<String> to = List.of(m.getSpnumber());
            return new Seen.Part(m, false, sequence(m), m.getUsernumber(), to, false, fields);
        }
        if (pdu instanceof SgipReportRequestMessage m) {
            return new Seen.Report(
                    m,
                    sequence(m),
                    Events.fields(
                            "id", id(m.getSequenceId()),
                            "stat", m.getState() == 0 ? "DELIVRD" : "UNDELIV",
                            "state", (int) m.getState(),
                            "error", String.valueOf(m.getErrorcode()),
                            "to", m.getUsernumber()));
        }
        if (pdu instanceof SgipReportResponseMessage m) {
            return new Seen.Taken(sequence(m), "report", m.getResult());
        }
        if (pdu instanceof SgipDeliverResponseMessage m) {
            return new Seen.Taken(sequence(m), "inbound", m.getResult());
        }
        return new Seen.Other(pdu.getClass().getSimpleName());
    }

    /** SGIP has no id of the gateway's own: the submit's sequence is it. */
    @Override
    public Object allocate(BaseMessage submit) {
        return ((SgipDefaultMessage) submit).getSequenceNumber();
    }

    @Override
    public String id(Object allocated) {
        SequenceNumber number = (SequenceNumber) allocated;
        return number.getNodeIds()
                + ":"
                + Long.parseLong(number.getTimeString())
                + ":"
                + Integer.toUnsignedString(number.getSequenceId());
    }

    /** The answer to a request carries all twelve octets of its sequence. */
    private static <T extends SgipDefaultMessage> T echo(T answer, BaseMessage asked) {
        answer.setTimestamp(asked.getTimestamp());
        return answer;
    }

    @Override
    public BaseMessage answer(BaseMessage submit, Object id, long result) {
        SgipDefaultMessage asked = (SgipDefaultMessage) submit;
        SgipSubmitResponseMessage answer =
                echo(new SgipSubmitResponseMessage(asked.getHeader()), asked);
        answer.setResult((short) result);
        return answer;
    }

    @Override
    public BaseMessage report(Seen.Part submit, Object id, String to, String stat, int error) {
        SgipReportRequestMessage report = own(new SgipReportRequestMessage());
        report.setSequenceId((SequenceNumber) id);
        report.setReporttype((short) 0);
        report.setUsernumber(to);
        report.setState((short) (stat.equals("DELIVRD") ? 0 : stat.equals("ENROUTE") ? 1 : 2));
        report.setErrorcode((short) error);
        return report;
    }

    @Override
    public BaseMessage inbound(String from, String to, String text, Settings settings) {
        SgipDeliverRequestMessage deliver = own(new SgipDeliverRequestMessage());
        deliver.setUsernumber(from);
        deliver.setSpnumber(to);
        deliver.setMsgContent(Dialect.text(text, settings, c -> new SgipSmsDcs((byte) c)));
        return deliver;
    }

    @Override
    public BaseMessage submit(String from, String to, String text, Settings settings) {
        SgipSubmitRequestMessage submit = own(new SgipSubmitRequestMessage());
        submit.setSpnumber(from);
        submit.setUsernumber(to);
        // The SP pays, nothing is charged to the user, and no inbound message caused it.
        submit.setChargenumber("0".repeat(21));
        submit.setFeetype((short) 1);
        submit.setFeevalue("0");
        submit.setGivenvalue("0");
        submit.setMorelatetomtflag((short) 2);
        submit.setPriority((short) 0);
        submit.setCorpid(settings.text("corp"));
        submit.setServicetype(settings.text("service"));
        submit.setReportflag((short) 1);
        submit.setMsgContent(Dialect.text(text, settings, c -> new SgipSmsDcs((byte) c)));
        return submit;
    }

    @Override
    public BaseMessage take(BaseMessage delivered) {
        if (delivered instanceof SgipReportRequestMessage report) {
            return echo(new SgipReportResponseMessage(report.getHeader()), report);
        }
        SgipDefaultMessage asked = (SgipDefaultMessage) delivered;
        return echo(new SgipDeliverResponseMessage(asked.getHeader()), asked);
    }

    @Override
    public BaseMessage leave() {
        return own(new SgipUnbindRequestMessage());
    }

    @Override
    public String sequence(BaseMessage pdu) {
        return id(((SgipDefaultMessage) pdu).getSequenceNumber());
    }
}

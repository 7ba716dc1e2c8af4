package peer;

import com.chinamobile.cmos.sms.SmsDcs;
import com.zx.sms.BaseMessage;
import com.zx.sms.codec.cmpp.msg.CmppConnectRequestMessage;
import com.zx.sms.codec.cmpp.msg.CmppConnectResponseMessage;
import com.zx.sms.codec.cmpp.msg.CmppDeliverRequestMessage;
import com.zx.sms.codec.cmpp.msg.CmppDeliverResponseMessage;
import com.zx.sms.codec.cmpp.msg.CmppReportRequestMessage;
import com.zx.sms.codec.cmpp.msg.CmppSubmitRequestMessage;
import com.zx.sms.codec.cmpp.msg.CmppSubmitResponseMessage;
import com.zx.sms.codec.cmpp.msg.CmppTerminateRequestMessage;
import com.zx.sms.common.util.MsgId;
import com.zx.sms.connect.manager.EndpointEntity;
import com.zx.sms.connect.manager.cmpp.CMPPClientEndpointConnector;
import com.zx.sms.connect.manager.cmpp.CMPPClientEndpointEntity;
import com.zx.sms.connect.manager.cmpp.CMPPEndpointEntity;
import com.zx.sms.connect.manager.cmpp.CMPPServerChildEndpointEntity;
import com.zx.sms.connect.manager.cmpp.CMPPServerEndpointConnector;
import com.zx.sms.connect.manager.cmpp.CMPPServerEndpointEntity;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelPipeline;
import java.util.List;
import java.util.Map;

/** CMPP 2.0 and 3.0. */
final class Cmpp implements Dialect {
    private final short version;

    Cmpp(int version) {
        this.version = (short) version;
    }

    private void account(CMPPEndpointEntity entity, Account account, Traffic traffic) {
        Dialect.configure(entity, account, traffic);
        entity.setUserName(account.login());
        entity.setPassword(account.password());
        entity.setVersion(version);
        entity.setMsgSrc(account.login());
        entity.setServiceId(account.settings().text("service"));
    }

    @Override
    public EndpointEntity listener(Account account, ChannelHandler tap, Traffic traffic) {
        CMPPServerEndpointEntity listener =
                new CMPPServerEndpointEntity() {
                    @Override
                    protected CMPPServerEndpointConnector buildConnector() {
                        return new CMPPServerEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }
                };
        Dialect.configure(listener, account, traffic);
        CMPPServerChildEndpointEntity child = new CMPPServerChildEndpointEntity();
        account(child, account, traffic);
        child.setId(account.name() + "-account");
        listener.addchild(child);
        return listener;
    }

    @Override
    public EndpointEntity dialer(
            Account account, boolean inbound, ChannelHandler tap, Traffic traffic) {
        CMPPClientEndpointEntity dialer =
                new CMPPClientEndpointEntity() {
                    @Override
                    protected CMPPClientEndpointConnector buildConnector() {
                        return new CMPPClientEndpointConnector(this) {
                            @Override
                            protected void doinitPipeLine(ChannelPipeline pipeline) {
                                super.doinitPipeLine(pipeline);
                                pipeline.addBefore("sessionLoginManager", "wiretap", tap);
                            }
                        };
                    }
                };
        account(dialer, account, traffic);
        return dialer;
    }

    @Override
    public Seen read(Object pdu) {
        if (pdu instanceof CmppConnectRequestMessage m) {
            return new Seen.Login(
                    Events.fields("login", m.getSourceAddr(), "version", (int) m.getVersion()));
        }
        if (pdu instanceof CmppConnectResponseMessage m) {
            return new Seen.LoginAnswer(m.getStatus());
        }
        if (pdu instanceof CmppSubmitRequestMessage m) {
            Map<String, Object> fields = Dialect.content(m);
            fields.putAll(
                    Events.fields(
                            "pk_total", (int) m.getPktotal(),
                            "pk_number", (int) m.getPknumber(),
                            "msg_src", m.getMsgsrc(),
                            "service", m.getServiceId(),
                            "fee_type", m.getFeeType(),
                            "fee_code", m.getFeeCode(),
                            "valid", m.getValIdTime()));
            boolean asked = m.getRegisteredDelivery() == 1;
            List<String> to = List.of(m.getDestterminalId());
            return new Seen.Part(m, true, sequence(m), m.getSrcId(), to, asked, fields);
        }
        if (pdu instanceof CmppSubmitResponseMessage m) {
            return new Seen.SubmitAnswer(sequence(m), id(m.getMsgId()), m.getResult());
        }
        if (pdu instanceof CmppDeliverRequestMessage m) {
            return m.isReport() ? report(m) : message(m);
        }
        if (pdu instanceof CmppDeliverResponseMessage m) {
            boolean report =
                    m.getRequest() instanceof CmppDeliverRequestMessage asked && asked.isReport();
            return new Seen.Taken(sequence(m), report ? "report" : "inbound", m.getResult());
        }
        return new Seen.Other(pdu.getClass().getSimpleName());
    }

    private Seen message(CmppDeliverRequestMessage m) {
        Map<String, Object> fields = Dialect.content(m);
        fields.put("id", id(m.getMsgId()));
        List<String> to = List.of(m.getDestId());
        return new Seen.Part(m, false, sequence(m), m.getSrcterminalId(), to, false, fields);
    }

    private Seen report(CmppDeliverRequestMessage m) {
        CmppReportRequestMessage report = m.getReportRequestMessage();
        return new Seen.Report(
                m,
                sequence(m),
                Events.fields(
                        "id", id(report.getMsgId()),
                        "stat", report.getStat(),
                        "to", report.getDestterminalId(),
                        "from", m.getDestId(),
                        "submitted", report.getSubmitTime(),
                        "done", report.getDoneTime()));
    }

    @Override
    public Object allocate(BaseMessage submit) {
        return new MsgId();
    }

    @Override
    public String id(Object allocated) {
        return "0x" + ((MsgId) allocated).toHexString(true);
    }

    @Override
    public BaseMessage answer(BaseMessage submit, Object id, long result) {
        CmppSubmitRequestMessage asked = (CmppSubmitRequestMessage) submit;
        CmppSubmitResponseMessage answer = new CmppSubmitResponseMessage(asked.getHeader());
        answer.setMsgId((MsgId) id);
        answer.setResult(result);
        return answer;
    }

    @Override
    public BaseMessage report(Seen.Part submit, Object id, String to, String stat, int error) {
        CmppReportRequestMessage report = new CmppReportRequestMessage();
        report.setMsgId((MsgId) id);
        report.setStat(stat);
        report.setDestterminalId(to);
        CmppDeliverRequestMessage deliver = new CmppDeliverRequestMessage();
        deliver.setDestId(submit.from());
        deliver.setSrcterminalId(to);
        deliver.setReportRequestMessage(report);
        return deliver;
    }

    @Override
    public BaseMessage inbound(String from, String to, String text, Settings settings) {
        CmppDeliverRequestMessage deliver = new CmppDeliverRequestMessage();
        deliver.setSrcterminalId(from);
        deliver.setDestId(to);
        deliver.setServiceid(settings.text("service"));
        deliver.setMsgContent(Dialect.text(text, settings, c -> new SmsDcs((byte) c)));
        return deliver;
    }

    @Override
    public BaseMessage submit(String from, String to, String text, Settings settings) {
        CmppSubmitRequestMessage submit = new CmppSubmitRequestMessage();
        submit.setSrcId(from);
        submit.setDestterminalId(to);
        submit.setRegisteredDelivery((short) 1);
        submit.setMsglevel((short) 1);
        submit.setServiceId(settings.text("service"));
        submit.setMsgsrc(settings.text("login"));
        submit.setMsgContent(Dialect.text(text, settings, c -> new SmsDcs((byte) c)));
        // The gateway gives the id; a submit carries zeros.
        submit.setMsgid(new MsgId("0000000000000000000000"));
        return submit;
    }

    @Override
    public BaseMessage take(BaseMessage delivered) {
        CmppDeliverRequestMessage asked = (CmppDeliverRequestMessage) delivered;
        CmppDeliverResponseMessage answer = new CmppDeliverResponseMessage(asked.getHeader());
        answer.setMsgId(asked.getMsgId());
        answer.setResult(0);
        return answer;
    }

    @Override
    public BaseMessage leave() {
        return new CmppTerminateRequestMessage();
    }

    @Override
    public String sequence(BaseMessage pdu) {
        return Integer.toUnsignedString(pdu.getSequenceNo());
    }
}
